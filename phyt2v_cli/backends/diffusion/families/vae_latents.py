"""What pipelines do to the latents of their solver before they decode them, by pipeline class.

Their own code does it at the end of a call, where a video is decoded; this is for a preview in the middle of
one. Must not import torch, as the other files here.
"""

from collections.abc import Callable, Mapping
from typing import Any

ToVaeLatents = Callable[[Any, Any, tuple[int, int, int]], Any]
"""(pipeline, latents of the solver, frames, height and width of the video in pixels) to latents of the
autoencoder, (1, num_channels, num_latent_frames, latent height, latent width)."""


def to_vae_latents_of(pipeline_class: str) -> ToVaeLatents | None:
    """Conversion of a pipeline class; None if it is not listed."""
    return _BY_PIPELINE.get(pipeline_class)


def _frames_first(pipeline: Any, latents: Any, size: tuple[int, int, int]) -> Any:
    if size[0]:  # CogVideoX 1.5 adds frames in front, because its patches span two
        num_latent_frames = (size[0] - 1) // pipeline.vae_scale_factor_temporal + 1
        latents = latents[:, latents.shape[1] - num_latent_frames :]
    return latents.permute(0, 2, 1, 3, 4) / pipeline.vae_scaling_factor_image


def _scaled(pipeline: Any, latents: Any, _: tuple[int, int, int]) -> Any:
    return latents / pipeline.vae.config.scaling_factor


def _normalized(pipeline: Any, latents: Any, _: tuple[int, int, int]) -> Any:
    config = pipeline.vae.config
    mean, std = (
        latents.new_tensor(values).view(1, -1, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    return latents * std / config.get("scaling_factor", 1.0) + mean


def _packed(pipeline: Any, latents: Any, size: tuple[int, int, int]) -> Any:
    num_frames, height, width = size
    vae = pipeline.vae
    unpacked = pipeline._unpack_latents(
        latents,
        (num_frames - 1) // pipeline.vae_temporal_compression_ratio + 1,
        height // pipeline.vae_spatial_compression_ratio,
        width // pipeline.vae_spatial_compression_ratio,
        pipeline.transformer_spatial_patch_size,
        pipeline.transformer_temporal_patch_size,
    )
    return pipeline._denormalize_latents(
        unpacked, vae.latents_mean, vae.latents_std, vae.config.scaling_factor
    )


_BY_PIPELINE: Mapping[str, ToVaeLatents] = {
    "CogVideoXPipeline": _frames_first,
    "CogVideoXImageToVideoPipeline": _frames_first,
    "WanPipeline": _normalized,
    "LTXPipeline": _packed,
    "HunyuanVideoPipeline": _scaled,
    "HunyuanVideo15Pipeline": _scaled,
    "MochiPipeline": _normalized,
}
