"""Latents on disk, from the denoising until their video is verified. Knows no model and no run."""

import hashlib
import json
from pathlib import Path

from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.roles import Denoised, HowItRan, Latents
from phyt2v_cli.runs.stored import MAX_TEXT_CHARS

_KEY = "latents"
_MAX_BYTES = 2**30
"""Limit of the file. Latents of the largest models are tens of MiB; a foreign file may claim anything."""

_MAX_SETTINGS = 100


def write_latents(path: Path, denoised: Denoised, *, pixels_key: str) -> None:
    """Write contiguous latents with the settings and the digest that they were made with.

    `pixels_key` is the digest of what makes the video's pixels. Raises FilesError if the disk refuses.
    """
    from safetensors.numpy import save

    metadata = {
        "pixels_key": pixels_key,
        "sha256": _sha256(denoised.latents),
        "how": json.dumps(dict(denoised.how)),
    }
    with replace_file(path) as temporary:
        temporary.write_bytes(save({_KEY: denoised.latents}, metadata=metadata))


def read_latents(path: Path, *, pixels_key: str, version_1: dict[str, str] | None = None) -> Denoised | None:
    """Read latents if they were made for exactly these pixels; None if there are none.

    A broken or foreign file counts as none: denoising again gives the same latents. `version_1` is the
    metadata of such latents in a file of ``phyt2v.run/1``: ``prompt``, ``seed`` and ``steps``.
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
    if latents.dtype not in ("float32", "uint8") or metadata.pop("sha256", None) != _sha256(latents):
        return None
    how = _read_how(metadata.pop("how", "{}"))
    if how is None or metadata not in ({"pixels_key": pixels_key}, version_1):
        return None
    return Denoised(latents, how)


def move_latents(path: Path, target: Path) -> None:
    """Move latents to another video, if there are any; raise FilesError if that fails."""
    try:
        path.replace(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be renamed to {target.name}") from error


def drop_latents(path: Path) -> None:
    """Delete latents, if there are any; raise FilesError if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be deleted") from error


def _sha256(latents: Latents) -> str:
    return hashlib.sha256(latents.tobytes()).hexdigest()


def _read_how(text: str) -> HowItRan | None:
    try:
        how = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_sound = (
        isinstance(how, dict)
        and len(how) <= _MAX_SETTINGS
        and all(isinstance(value, str) and len(value) <= MAX_TEXT_CHARS for value in how.values())
    )
    return how if is_sound else None
