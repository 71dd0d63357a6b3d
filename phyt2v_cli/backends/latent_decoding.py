"""Split a pipeline's one call in two at its autoencoder: latents now, frames later.

Every family prepares its latents for the autoencoder in its own way (drops padding, unpacks, undoes a mean
and a scale, mixes in noise). Instead of repeating that here, the pipeline's own code runs up to the moment it
calls `vae.decode`, and what it was about to decode is what we keep. So denoise and decode together equal the
direct call, and a family that nobody has heard of works too. This file must not know families or prompts.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from phyt2v_cli.errors import FaultyFramesError


class _ReachedDecode(Exception):  # noqa: N818 - no error: the way out of the pipeline's call
    def __init__(self, latents: torch.Tensor) -> None:
        self.latents = latents


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
    extra = []
    if pipeline.vae.config.get("timestep_conditioning"):
        default = inspect.signature(type(pipeline).__call__).parameters["decode_timestep"].default
        extra = [torch.tensor([default], device=latents.device, dtype=pipeline.vae.dtype)]
    video = pipeline.vae.decode(latents.to(pipeline.vae.dtype), *extra, return_dict=False)[0]
    frames = video[0].permute(1, 2, 3, 0).float()
    if not torch.isfinite(frames).all():  # as integers they would be black, or anything
        raise FaultyFramesError("The autoencoder's frames hold NaN or infinity")
    colors: torch.Tensor = (frames * 0.5 + 0.5).clamp(0, 1)
    return colors.mul(255).round().to(torch.uint8).contiguous()
