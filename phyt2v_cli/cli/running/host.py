"""Setup of the command line's own process, so that models run in it quietly and fast.

The library changes nothing in its host process. Here the command line is the host, so it may. Knows libraries
and environment variables; knows no command, no config and no model.
"""

import os
import warnings

_ENVIRONMENT = {
    # pydantic would search the metadata of every installed package for plugins.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    # OpenMP's threads spin while they wait, and take cores from others. With sleeping threads a step of the
    # embedded model beside a busy process took 0.25 to 0.5 s, not 0.8 to 1.3; alone it is equal.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A local Ray would report its use to its makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Failures come as exceptions.
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Environment variables that libraries read when they are imported. Values set by the user are kept."""


def prepare() -> None:
    """Set what must be set before any library is imported; takes no time."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # An empty or relative value counts as none by its specification; libraries would write into the working
    # folder.
    if not os.path.isabs(os.environ.get("XDG_CACHE_HOME", os.sep)):  # noqa: PTH117  a Path would import more
        del os.environ["XDG_CACHE_HOME"]
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|accelerate|torch)\b.*")


def prepare_for_models() -> None:
    """Set what must be set before torch and diffusers are imported; it imports a little itself."""
    import logging

    from phyt2v_cli.files.cache_dir import make_cache_dir

    # The logger of last resort gets the remarks of libraries about each other, such as torchao's four lines.
    # Libraries with handlers of their own are set by the variables above.
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.ERROR)
    folder = make_cache_dir()
    if folder is not None:  # torch's default is the temporary folder, which a restart empties
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
