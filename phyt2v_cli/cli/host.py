"""What the command line does to its own process for good, so that models run in it quietly and quickly.

The library changes nothing of its host's. Here the host is the command line, which may. Knows libraries and
environment variables; knows no command, no config and no model.
"""

import gc
import os
import warnings
from functools import cache

_ENVIRONMENT = {
    # pydantic would read the metadata of every installed package, in search of plugins for models like ours.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    # OpenMP's threads spin while they wait, as if nobody else needed the cores. With threads that sleep a
    # step of the embedded model beside a busy process took 0.25 to 0.5 s, not 0.8 to 1.3; alone it is equal.
    "OMP_WAIT_POLICY": "PASSIVE",
    # What goes wrong comes as exceptions.
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Read by libraries as they are imported. What the user has set stays."""


def prepare() -> None:
    """Set what must be set before any library is imported; it takes no time."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|accelerate|torch)\b.*")


def prepare_for_models() -> None:
    """Set what must be set before torch and diffusers are imported; it imports a little itself."""
    import logging

    from phyt2v_cli.files.cache_dir import make_cache_dir

    # Where the remarks go that libraries make on each other, torchao's four lines for one. Those of libraries
    # with handlers of their own are a matter of the variables above.
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.ERROR)
    folder = make_cache_dir()
    if folder is not None:  # torch keeps compiled kernels in the temporary folder, which a restart empties
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))


@cache
def pass_over_what_is_loaded() -> None:
    """Take all objects of now out of garbage collection, the first time that this is called.

    imageio collects on every close: 0.26 s each with torch loaded, and then nothing.
    """
    gc.freeze()
