"""Check of the pictures of a prompt set, each of which begins the video of its own prompt. Loads no model."""

from collections.abc import Iterable
from pathlib import Path

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, PromptError, UsageError


def check_pictures(paths: Iterable[Path], config: Config) -> tuple[dict[Path, str], dict[Path, PromptError]]:
    """Read each picture once: checksums of those that can be used, and what is wrong with the others.

    Raises UsageError if `config` has a picture for all.
    """
    from phyt2v_cli.backends.diffusion import conditioning

    if config.generator.image is not None:
        raise UsageError("image_column: there is `image` too", "A video begins with one picture.")
    usable: dict[Path, str] = {}
    faulty: dict[Path, PromptError] = {}
    for path in dict.fromkeys(paths):
        try:
            sha256 = conditioning.digest(config.generator.model_copy(update={"image": str(path)}))
        except ConfigError as error:
            faulty[path] = PromptError(error.message.removeprefix("generator.image: "), error.hint)
        else:
            usable[path] = sha256 or ""
    return usable, faulty
