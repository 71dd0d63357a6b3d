"""Numbers of frames and pixels that a pipeline makes: what its components' configs say, and the nearest right
ones.

Knows autoencoders and transformers by the keys of their configs, and no family.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ComponentConfigs = Mapping[str, Mapping[str, Any]]


def temporal_compression(configs: ComponentConfigs) -> int | None:
    """Return how many frames the autoencoder makes one latent of; None where it does not say."""
    vae = configs.get("vae", {})
    for name in ("temporal_compression_ratio", "scale_factor_temporal"):
        if vae.get(name):
            return int(vae[name])
    for name in ("temperal_downsample", "spatio_temporal_scaling"):
        if vae.get(name):
            return int(vae.get("patch_size_t") or 1) * int(2 ** sum(map(bool, vae[name])))
    return None


def pixels_of_a_patch(configs: ComponentConfigs) -> int:
    """Return how many pixels, along one side, a patch of the transformer stands for; 1 if nothing says so."""
    return _spatial_compression(configs.get("vae", {})) * _patch_size(configs)


def _spatial_compression(vae: Mapping[str, Any]) -> int:
    for name in ("spatial_compression_ratio", "scale_factor_spatial"):
        if vae.get(name):
            return int(vae[name])
    if vae.get("spatio_temporal_scaling"):
        return int(vae.get("patch_size") or 1) * int(2 ** sum(map(bool, vae["spatio_temporal_scaling"])))
    levels = vae.get("block_out_channels") or vae.get("dim_mult")  # halved between two levels
    return int(2 ** (len(levels) - 1)) if levels else 1


def _patch_size(configs: ComponentConfigs) -> int:
    transformer = configs.get("transformer") or configs.get("transformer_2") or {}
    size = transformer.get("patch_size") or 1
    return math.lcm(*size[-2:]) if isinstance(size, list | tuple) else int(size)


@dataclass(frozen=True)
class Grid:
    """The values that a family makes: `start`, `start + step`, … up to `largest`."""

    step: int = 1
    start: int = 0
    largest: int | None = None

    def has(self, value: int) -> bool:
        """Tell whether a family makes this value."""
        too_large = self.largest is not None and value > self.largest
        return value >= self.start and (value - self.start) % self.step == 0 and not too_large

    def floor(self, value: int) -> int:
        """Return the largest right value that is not above; 0 or less where there is none."""
        below = self.start + (value - self.start) // self.step * self.step
        return below if self.largest is None else min(below, self.largest)

    def nearest(self, value: int) -> list[int]:
        """Return the right values on both sides of a wrong one, or the one at that end."""
        smallest = self.start or self.step
        largest = self.largest or value + self.step
        below = self.floor(value)
        ends = {min(max(right, smallest), largest) for right in (below, below + self.step)}
        return sorted(ends)

    def in_words(self) -> str:
        """Return the rule, as in `8k+1 up to 49` or `a multiple of 16`."""
        if self.largest == self.start:
            return f"exactly {self.start}"
        if self.largest is not None and self.step == 1:
            return f"{self.start} to {self.largest}"
        rule = f"{self.step}k+{self.start}" if self.start else f"a multiple of {self.step}"
        return rule if self.largest is None else f"{rule} up to {self.largest}"


ANY_NUMBER = Grid()
