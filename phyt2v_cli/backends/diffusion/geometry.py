"""Compression ratios of a pipeline's components, and the valid numbers of frames and pixels.

Knows autoencoders and transformers by the keys of their configs; must not know any family.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phyt2v_cli.backends.memory.activations import VideoSize
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import LatentsError
from phyt2v_cli.files.video import Frames

ComponentConfigs = Mapping[str, Mapping[str, Any]]


def temporal_compression(configs: ComponentConfigs) -> int | None:
    """Frames for each latent frame of the autoencoder; None if its config does not say."""
    vae = configs.get("vae", {})
    for name in ("temporal_compression_ratio", "scale_factor_temporal"):
        if vae.get(name):
            return int(vae[name])
    if vae.get("temporal_expansions"):
        return int(math.prod(vae["temporal_expansions"]))
    for name in ("temperal_downsample", "spatio_temporal_scaling"):
        if vae.get(name):
            return int(vae.get("patch_size_t") or 1) * int(2 ** sum(map(bool, vae[name])))
    return None


def pixels_of_a_patch(configs: ComponentConfigs) -> int:
    """Pixels along one side of a transformer's patch; 1 if no config says so."""
    return _spatial_compression(configs.get("vae", {})) * _patch_size(configs)


def _spatial_compression(vae: Mapping[str, Any]) -> int:
    for name in ("spatial_compression_ratio", "scale_factor_spatial"):
        if vae.get(name):
            return int(vae[name])
    if vae.get("spatio_temporal_scaling"):
        return int(vae.get("patch_size") or 1) * int(2 ** sum(map(bool, vae["spatio_temporal_scaling"])))
    if vae.get("spatial_expansions"):
        return int(math.prod(vae["spatial_expansions"]))
    levels = vae.get("block_out_channels") or vae.get("dim_mult")  # halved between two levels
    return int(2 ** (len(levels) - 1)) if levels else 1


def _patch_size(configs: ComponentConfigs) -> int:
    size = _transformer(configs).get("patch_size") or 1
    return math.lcm(*size[-2:]) if isinstance(size, list | tuple) else int(size)


def _transformer(configs: ComponentConfigs) -> Mapping[str, Any]:
    return configs.get("transformer") or configs.get("transformer_2") or {}


_UNKNOWN_SIZE = (49, 480, 720)
"""Assumed frames, height and width if the config leaves them to the model; for memory and compilation."""


def video_size(config: GeneratorConfig, configs: ComponentConfigs, *, num_branches: int) -> VideoSize:
    """Size of the config's videos, with the tokens that a transformer sees of them."""
    given = (config.num_frames, config.height, config.width)
    num_frames, height, width = (
        value or assumed for value, assumed in zip(given, _UNKNOWN_SIZE, strict=True)
    )
    latent_frames = math.ceil((num_frames - 1) / (temporal_compression(configs) or 1)) + 1
    side = pixels_of_a_patch(configs)
    num_tokens = math.ceil(latent_frames / _patch_frames(configs)) * math.ceil(height / side)
    return VideoSize(num_frames, height, width, num_tokens * math.ceil(width / side), num_branches)


def _patch_frames(configs: ComponentConfigs) -> int:
    transformer = _transformer(configs)
    size = transformer.get("patch_size")
    if isinstance(size, list | tuple) and len(size) == 3:
        return int(size[0])
    return int(transformer.get("patch_size_t") or 1)


@dataclass(frozen=True)
class Grid:
    """Valid values of a size: `start`, `start + step`, … up to `largest`; no upper limit if that is None."""

    step: int = 1
    start: int = 0
    largest: int | None = None

    def has(self, value: int) -> bool:
        """Check if a value is valid."""
        too_large = self.largest is not None and value > self.largest
        return value >= self.start and (value - self.start) % self.step == 0 and not too_large

    def floor(self, value: int) -> int:
        """Largest valid value that is not above `value`; below `start` if there is none."""
        below = self.start + (value - self.start) // self.step * self.step
        return below if self.largest is None else min(below, self.largest)

    def nearest(self, value: int) -> list[int]:
        """Nearest valid values below and above an invalid one; only one at an end of the grid."""
        smallest = self.start or self.step
        largest = self.largest or value + self.step
        below = self.floor(value)
        ends = {min(max(right, smallest), largest) for right in (below, below + self.step)}
        return sorted(ends)

    def in_words(self) -> str:
        """Rule in words, such as `8k+1 up to 49` or `a multiple of 16`."""
        if self.largest == self.start:
            return f"exactly {self.start}"
        if self.largest is not None and self.step == 1:
            return f"{self.start} to {self.largest}"
        rule = f"{self.step}k+{self.start}" if self.start else f"a multiple of {self.step}"
        return rule if self.largest is None else f"{rule} up to {self.largest}"


ANY_NUMBER = Grid()


def check_size(frames: Frames, config: GeneratorConfig) -> None:
    """Raise LatentsError if the decoded frames are not as many, or not as large, as the config wants."""
    num_frames, height, width = frames.shape[:3]
    if config.num_frames not in (None, num_frames):
        raise LatentsError(
            f"{config.model} made {num_frames} frames, and {config.num_frames} were wanted; it makes some "
            "lengths only.",
            f"Use `generator.num_frames={num_frames}`, or another of those.",
        )
    if config.height not in (None, height) or config.width not in (None, width):
        raise LatentsError(
            f"{config.model} made frames of {width}x{height} pixels, and {config.width or width}x"
            f"{config.height or height} were wanted.",
            f"Use `generator.width={width}` and `generator.height={height}`, or another size.",
        )
