"""Split of a pipeline's call at its autoencoder: denoise to latents now, decode them to frames later.

Every family prepares its latents for the autoencoder in its own way (drops padding, unpacks, undoes a mean
and a scale, mixes in noise). That is not repeated here: the pipeline's own code runs until it calls
`vae.decode`, and the latents of that call are kept. So denoise and decode together equal the direct call, and
an unknown family works too. This file must not know families or prompts.

A pipeline with an image autoencoder decodes frames in chunks, one call for each. It is told to use one chunk
for all frames, so that all latents come in one call; the chunks of its default size are made here.

A pipeline that decodes several times, or does more to the frames than to scale their colours, cannot be split
so; which ones can is the family's to know. `whole_call.py` is for the others.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from phyt2v_cli.errors import FaultyFramesError

_CHUNK = "decode_chunk_size"
_PICTURES_AT_A_TIME = 16
"""Frames in a chunk if the pipeline has no default of its own."""

_ONE_CHUNK = 1_000_000


class _ReachedDecode(Exception):  # noqa: N818 - no error: leaves the pipeline's call early
    def __init__(self, latents: torch.Tensor) -> None:
        self.latents = latents


def arguments(pipeline: Any) -> dict[str, int]:
    """Arguments of the pipeline's call that make it decode all latents in one chunk."""
    return {_CHUNK: _ONE_CHUNK} if _CHUNK in inspect.signature(type(pipeline).__call__).parameters else {}


def run_until_decode(pipeline: Any, call: Callable[[], object]) -> torch.Tensor:
    """Run `call`, which calls the pipeline, and return the latents that it passes to `pipeline.vae.decode`.

    Their shape depends on the family, as described at `roles.Latents`. Raises what `call` raises, and
    RuntimeError if the pipeline never calls `vae.decode`.
    """

    def stop_here(latents: torch.Tensor, *_: object, **__: object) -> None:
        raise _ReachedDecode(latents)

    pipeline.vae.decode = stop_here
    try:
        call()
    except _ReachedDecode as reached:
        return reached.latents
    finally:
        del pipeline.vae.decode  # uncovers the class's own method
    raise RuntimeError(f"{type(pipeline).__name__} made a video without vae.decode")


def decode(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode the latents of `run_until_decode` to uint8 frames of shape (num_frames, height, width, 3).

    Latents are cast to the autoencoder's dtype, which they had before they were kept as float32. Colors are
    rounded on the device, so that a quarter of the bytes leave it. Raises FaultyFramesError if the frames are
    not finite.
    """
    latents = latents.to(pipeline.vae.dtype)
    frames = _decode_pictures(pipeline, latents) if latents.ndim == 4 else _decode_video(pipeline, latents)
    if not torch.isfinite(frames).all():  # their values as integers are undefined
        raise FaultyFramesError("The autoencoder's frames hold NaN or infinity")
    colors: torch.Tensor = (frames.float() * 0.5 + 0.5).clamp(0, 1)
    return colors.mul(255).round().to(torch.uint8).contiguous()


def decode_meanwhile(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode other latents, as `decode` does, while a call is on its way to `vae.decode`."""
    stop_here = pipeline.vae.__dict__.pop("decode", None)
    try:
        return decode(pipeline, latents)
    finally:
        if stop_here is not None:
            pipeline.vae.decode = stop_here


def _decode_video(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    parameters = inspect.signature(type(pipeline).__call__).parameters
    extra = []
    if pipeline.vae.config.get("timestep_conditioning"):
        default = parameters["decode_timestep"].default
        extra = [torch.tensor([default], device=latents.device, dtype=pipeline.vae.dtype)]
    video: torch.Tensor = pipeline.vae.decode(latents, *extra, return_dict=False)[0][0]
    # Channels first or frames first; a video of three frames counts as channels first, the usual order.
    return video.permute(1, 2, 3, 0) if video.shape[0] == 3 else video.permute(0, 2, 3, 1)


def _decode_pictures(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode latents of shape (num_frames, num_channels, height, width) in the pipeline's default chunks.

    Returns (num_frames, height, width, 3), here in pixels.
    """
    parameters = inspect.signature(type(pipeline).__call__).parameters
    size = parameters[_CHUNK].default if _CHUNK in parameters else _PICTURES_AT_A_TIME
    # An autoencoder with temporal layers must know how many frames belong together.
    smooths = "num_frames" in inspect.signature(type(pipeline.vae).decode).parameters
    chunks: list[torch.Tensor] = [
        pipeline.vae.decode(chunk, return_dict=False, **({"num_frames": len(chunk)} if smooths else {}))[0]
        for chunk in torch.split(latents, size)
    ]
    return torch.cat(chunks).permute(0, 2, 3, 1)
