"""What the configs of a pipeline's components say of frames and pixels, under the names that diffusers has.

Knows autoencoders and transformers by the keys of their configs, and no family.
"""

import math
from collections.abc import Mapping
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
