"""Split a pipeline's one call in two at its autoencoder: latents now, frames later.

Every family prepares its latents for the autoencoder in its own way (drops padding, unpacks, undoes a mean
and a scale, mixes in noise). Instead of repeating that here, the pipeline's own code runs up to the moment it
calls `vae.decode`, and what it was about to decode is what we keep. So denoise and decode together equal the
direct call, and a family that nobody has heard of works too. This file must not know families or prompts.

An autoencoder of pictures is handed frames in chunks, one call for each; a pipeline that is told to decode
in chunks of all frames hands them over at once, and the chunks of its default are made here.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from phyt2v_cli.errors import FaultyFramesError

_CHUNK = "decode_chunk_size"
_PICTURES_AT_A_TIME = 16
"""Where the pipeline itself names no chunk."""

_ONE_CHUNK = 1_000_000


class _ReachedDecode(Exception):  # noqa: N818 - no error: the way out of the pipeline's call
    def __init__(self, latents: torch.Tensor) -> None:
        self.latents = latents


def arguments(pipeline: Any) -> dict[str, int]:
    """Return what the pipeline's call must be given, so that it hands over all its latents at once."""
    return {_CHUNK: _ONE_CHUNK} if _CHUNK in inspect.signature(type(pipeline).__call__).parameters else {}


def run_until_decode(pipeline: Any, call: Callable[[], object]) -> torch.Tensor:
    """Run `call`, which calls the pipeline, and return the latents that it hands to `pipeline.vae.decode`."""

    def stop_here(latents: torch.Tensor, *_: object, **__: object) -> None:
        raise _ReachedDecode(latents)

    pipeline.vae.decode = stop_here
    try:
        call()
    except _ReachedDecode as reached:
        return reached.latents
    finally:
        del pipeline.vae.decode  # the class's own method shows again
    raise RuntimeError(f"{type(pipeline).__name__} made a video without vae.decode")


def decode(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return the uint8 frames, (num_frames, height, width, 3), of what `run_until_decode` returned.

    Cast to the autoencoder's dtype, which they had before they were kept as float32; colours are rounded, on
    the device, so that a quarter of the bytes leave it. Raises FaultyFramesError where they are not finite.
    """
    latents = latents.to(pipeline.vae.dtype)
    frames = _decode_pictures(pipeline, latents) if latents.ndim == 4 else _decode_video(pipeline, latents)
    if not torch.isfinite(frames).all():  # as integers they would be black, or anything
        raise FaultyFramesError("The autoencoder's frames hold NaN or infinity")
    colors: torch.Tensor = (frames.float() * 0.5 + 0.5).clamp(0, 1)
    return colors.mul(255).round().to(torch.uint8).contiguous()


def _decode_video(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    parameters = inspect.signature(type(pipeline).__call__).parameters
    extra = []
    if pipeline.vae.config.get("timestep_conditioning"):
        default = parameters["decode_timestep"].default
        extra = [torch.tensor([default], device=latents.device, dtype=pipeline.vae.dtype)]
    video: torch.Tensor = pipeline.vae.decode(latents, *extra, return_dict=False)[0][0]
    # Channels first or frames first; a video of three frames is taken for the usual channels first.
    return video.permute(1, 2, 3, 0) if video.shape[0] == 3 else video.permute(0, 2, 3, 1)


def _decode_pictures(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode (num_frames, channels, height, width), in the chunks that the pipeline itself would make."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    size = parameters[_CHUNK].default if _CHUNK in parameters else _PICTURES_AT_A_TIME
    # An autoencoder that smooths over time must know how many frames belong together.
    smooths = "num_frames" in inspect.signature(type(pipeline.vae).decode).parameters
    chunks: list[torch.Tensor] = [
        pipeline.vae.decode(chunk, return_dict=False, **({"num_frames": len(chunk)} if smooths else {}))[0]
        for chunk in torch.split(latents, size)
    ]
    return torch.cat(chunks).permute(0, 2, 3, 1)
