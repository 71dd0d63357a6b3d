"""What differs between families of text-to-video pipelines, as data read off their component configs.

This file must not import torch or diffusers: it serves checks that run before anything is loaded. A family
that is not listed here works from its pipeline's signature and the user's config.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

ComponentConfigs = Mapping[str, Mapping[str, Any]]
HalfDtype = Literal["float16", "bfloat16"]


@dataclass(frozen=True)
class Family:
    """What a family renders well, and how."""

    name: str
    fps: int
    """What it was trained at."""
    frame_step: int = 1
    """It makes `frame_step * k + 1` frames; any other number is rounded silently by the pipeline."""
    size_multiple: int = 1
    """Height and width are multiples of it."""
    half_dtype: HalfDtype = "bfloat16"
    """The published precision on a GPU."""
    float32_vae: bool = False
    """Whether the autoencoder stays in float32 there."""


def _cogvideox(configs: ComponentConfigs) -> Family:
    vae, transformer = configs.get("vae", {}), configs.get("transformer", {})
    spatial = 2 ** (len(vae.get("block_out_channels", (128, 256, 256, 512))) - 1)
    return Family(
        name="CogVideoX 1.5" if transformer.get("patch_size_t") else "CogVideoX",
        fps=16 if transformer.get("patch_size_t") else 8,
        # Twice the compression, because the VAE decodes latent frames in pairs after a first odd one.
        frame_step=2 * vae.get("temporal_compression_ratio", 4),
        # The pipeline itself checks for 8 only, and then crashes where patches do not fit.
        size_multiple=math.lcm(8, spatial * transformer.get("patch_size", 2)),
        half_dtype="bfloat16" if transformer.get("use_rotary_positional_embeddings") else "float16",
    )


def _wan(configs: ComponentConfigs) -> Family:
    vae = configs.get("vae", {})
    transformer = configs.get("transformer") or configs.get("transformer_2") or {}
    spatial = vae.get("scale_factor_spatial", 8)
    patch = math.lcm(*transformer.get("patch_size", (1, 2, 2))[1:])
    return Family(
        name="Wan",
        fps=24 if spatial == 16 else 16,  # 16-fold compression is Wan 2.2 5B
        frame_step=vae.get("scale_factor_temporal", 4),
        size_multiple=math.lcm(16, spatial * patch),
        float32_vae=True,
    )


def _ltx(configs: ComponentConfigs) -> Family:
    vae = configs.get("vae", {})
    doublings = sum(vae.get("spatio_temporal_scaling", (True, True, True, False)))
    return Family(
        name="LTX",
        fps=24,
        frame_step=vae.get("patch_size_t", 1) * 2**doublings,
        size_multiple=math.lcm(32, vae.get("patch_size", 4) * 2**doublings),
        float32_vae=True,
    )


def _mochi(configs: ComponentConfigs) -> Family:
    temporal = math.prod(configs.get("vae", {}).get("temporal_expansions", (1, 2, 3)))
    return Family(name="Mochi", fps=30, frame_step=temporal, size_multiple=16)


_FAMILY_OF_PIPELINE: Mapping[str, Callable[[ComponentConfigs], Family]] = {
    "CogVideoXPipeline": _cogvideox,
    "WanPipeline": _wan,
    "LTXPipeline": _ltx,
    "MochiPipeline": _mochi,
}


def family_of(pipeline_class: str, configs: ComponentConfigs) -> Family:
    """Return the family of a diffusers pipeline class; one without rules for a class not listed."""
    describe = _FAMILY_OF_PIPELINE.get(pipeline_class)
    return describe(configs) if describe else Family(name=pipeline_class, fps=16)


def complaints(
    family: Family, *, num_frames: int | None, height: int | None, width: int | None
) -> tuple[str, ...]:
    """Return a `field: message` line, with the nearest right values, for each size that cannot be made."""
    lines = []
    if num_frames is not None and (num_frames - 1) % family.frame_step:
        below = (num_frames - 1) // family.frame_step * family.frame_step + 1
        lines.append(
            f"generator.num_frames: {family.name} makes {family.frame_step}k+1 frames, not {num_frames}; "
            f"the nearest are {below} and {below + family.frame_step}"
        )
    for field, size in (("height", height), ("width", width)):
        if size is not None and size % family.size_multiple:
            below = size // family.size_multiple * family.size_multiple
            nearest = [str(value) for value in (below, below + family.size_multiple) if value]
            lines.append(
                f"generator.{field}: {family.name} needs a multiple of {family.size_multiple}, not {size}; "
                f"the nearest {'are' if nearest[1:] else 'is'} {' and '.join(nearest)}"
            )
    return tuple(lines)
