"""Latents on disk, from the denoising until their video is verified. Knows no model and no run."""

import hashlib
from pathlib import Path

from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.roles import Latents

_KEY = "latents"
_MAX_BYTES = 2**30
"""The largest models' latents are tens of MiB; a file from elsewhere may claim anything."""


def write_latents(
    path: Path, latents: Latents, *, prompt: str, seed: int, steps: int, settings: str = ""
) -> None:
    """Write latents, contiguous ones, with what they were made from; raise FilesError where the disk refuses.

    `settings` is a digest of what else they depend on, where the folder does not tell.
    """
    from safetensors.numpy import save

    metadata = _metadata(latents, prompt, seed, steps, settings)
    with replace_file(path) as temporary:
        temporary.write_bytes(save({_KEY: latents}, metadata=metadata))


def read_latents(path: Path, *, prompt: str, seed: int, steps: int, settings: str = "") -> "Latents | None":
    """Return the latents that were made from exactly this; None where they are not there.

    A broken or foreign file counts as none: denoising again gives the same latents.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            latents: Latents = file.get_tensor(_KEY)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError):  # the last two: its dtype
        return None
    if latents.dtype != "float32":
        return None
    return latents if metadata == _metadata(latents, prompt, seed, steps, settings) else None


def move_latents(path: Path, target: Path) -> None:
    """Let another video have latents, if they are there; raise FilesError where that fails."""
    try:
        path.replace(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be renamed to {target.name}") from error


def drop_latents(path: Path) -> None:
    """Delete latents that nobody needs any more, if they are there; raise FilesError where that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be deleted") from error


def _metadata(latents: Latents, prompt: str, seed: int, steps: int, settings: str) -> dict[str, str]:
    sha256 = hashlib.sha256(latents.tobytes()).hexdigest()
    made_from = {"prompt": prompt, "seed": str(seed), "steps": str(steps), "sha256": sha256}
    return {**made_from, "settings": settings} if settings else made_from
