"""Latents on disk, from the denoising until their video is verified. Knows no model and no run."""

import hashlib
from pathlib import Path

from phyt2v_cli.atomic import replace_file
from phyt2v_cli.interfaces import Latents

_KEY = "latents"
_MAX_BYTES = 2**30
"""The largest models' latents are tens of MiB; a file from elsewhere may claim anything."""


def write_latents(path: Path, latents: Latents, *, prompt: str, seed: int, steps: int) -> None:
    """Write latents with what they were made from; raise FilesError where the disk refuses."""
    from safetensors.numpy import save

    made_from = {"prompt": prompt, "seed": str(seed), "steps": str(steps)}
    with replace_file(path) as temporary:
        temporary.write_bytes(save({_KEY: latents}, metadata={**made_from, "sha256": _digest(latents)}))


def read_latents(path: Path, *, prompt: str, seed: int, steps: int) -> "Latents | None":
    """Return the latents of exactly this prompt, seed and number of steps; None where they are not there.

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
    made_from = {"prompt": prompt, "seed": str(seed), "steps": str(steps), "sha256": _digest(latents)}
    return latents if metadata == made_from else None


def _digest(latents: Latents) -> str:
    return hashlib.sha256(latents.tobytes()).hexdigest()
