"""Device memory that denoising and decoding take beside the weights, from the sizes of parts and video.

The factors were measured with random weights of seven architectures on one H100
(`benchmarks/gpu_activations.py`) and rounded up. This file knows autoencoders by their class, and must not
know families or prompts; it must not import torch, because it serves checks before anything is loaded.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class VideoSize(NamedTuple):
    """Size of a video, in pixels and in what the denoiser sees of it."""

    num_frames: int
    height: int
    width: int
    num_tokens: int
    """Tokens of the latents: patches over all latent frames."""
    num_branches: int = 2
    """Guidance branches that are denoised in one call."""

    @property
    def num_pixels(self) -> int:
        """Pixels over all frames."""
        return self.num_frames * self.height * self.width


class _Decoding(NamedTuple):
    """Bytes for each byte of the dtype, by what an autoencoder's memory grows with."""

    frame_pixel: float = 0
    """Whole decoding, for each pixel of one frame: latent frames are decoded one after another."""
    pixel: float = 560
    """Whole decoding, for each pixel over all frames."""
    tile: float = 0
    """Decoding in tiles, whatever the video."""
    tiled_pixel: float = 125
    """Decoding in tiles, for each pixel over all frames: what is put together of them."""


_DECODING: Mapping[str, _Decoding] = {
    "AutoencoderKLCogVideoX": _Decoding(23_500, 20, 2e9, 6),
    "AutoencoderKLWan": _Decoding(6_000, 4, 0.2e9, 15),
    "AutoencoderKLLTXVideo": _Decoding(0, 52, 0, 40),
    "AutoencoderKLMochi": _Decoding(0, 620, 0, 150),
    "AutoencoderKLHunyuanVideo15": _Decoding(0, 930, 0, 155),
}

_UNKNOWN_DECODING = _Decoding()

_FEED_FORWARD = re.compile(r"(^|\.)(ff\w*|\w*mlp)\.")

_DENOISE_PIXEL = 100
"""Bytes of denoising for each pixel over all frames and byte of the dtype, where no transformer denoises."""

_STATE_WIDTHS, _FEED_FORWARD_WIDTHS = 6.4, 1.82
"""Tensors of the tokens that a block holds at a time, of its own width and of its feed-forward's."""

_SLACK = 1.25
_SMALL_TENSORS = 0.3e9
_TIME_WIDTHS = 36
"""Bytes for each token and unit of width, if each token has a timestep of its own: six float32 and copies."""


def denoise_bytes(denoiser: Any, video: VideoSize, *, has_token_times: bool = False) -> int:
    """Estimate the bytes of denoising `video` with a transformer or U-net."""
    width = _width_of(denoiser)
    if not width:
        return video.num_pixels * _DENOISE_PIXEL * int(denoiser.dtype.itemsize)
    widths = _STATE_WIDTHS * width + _FEED_FORWARD_WIDTHS * _feed_forward_width(denoiser, width)
    num_bytes = _SLACK * video.num_branches * video.num_tokens * widths * denoiser.dtype.itemsize
    times = has_token_times * _TIME_WIDTHS * video.num_tokens * width
    return int(num_bytes + _SMALL_TENSORS + times)


def decode_bytes(vae: Any, video: VideoSize) -> int:
    """Estimate the bytes of decoding `video` whole."""
    needs = _DECODING.get(type(vae).__name__, _UNKNOWN_DECODING)
    frame = video.height * video.width
    return int((needs.frame_pixel * frame + needs.pixel * video.num_pixels) * vae.dtype.itemsize)


def tiled_decode_bytes(vae: Any, video: VideoSize) -> int:
    """Estimate the bytes of decoding `video` in tiles, which is never more than whole."""
    needs = _DECODING.get(type(vae).__name__, _UNKNOWN_DECODING)
    tiled = int((needs.tile + needs.tiled_pixel * video.num_pixels) * vae.dtype.itemsize)
    return min(tiled, decode_bytes(vae, video))


def _width_of(denoiser: Any) -> int | None:
    config = getattr(denoiser, "config", {})
    heads, head_width = config.get("num_attention_heads"), config.get("attention_head_dim")
    return heads * head_width if isinstance(heads, int) and isinstance(head_width, int) else None


def _feed_forward_width(denoiser: Any, width: int) -> int:
    found = (
        module.out_features
        for name, module in denoiser.named_modules()
        if hasattr(module, "out_features") and _FEED_FORWARD.search(name)
    )
    return max(found, default=4 * width)
