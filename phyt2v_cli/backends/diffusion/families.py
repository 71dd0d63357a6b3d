"""Table of the families of text-to-video pipelines: frame rates, sizes, dtypes and options as data.

Sizes are computed from the components' configs. This file must not import torch or diffusers, because it
serves checks that run before anything is loaded. A family that is not listed here works from its components'
configs, its pipeline's signature and the user's config.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from phyt2v_cli.backends.diffusion.geometry import (
    ANY_NUMBER,
    ComponentConfigs,
    Grid,
    pixels_of_a_patch,
    temporal_compression,
)
from phyt2v_cli.backends.diffusion.solver_rules import allowed_solvers, has_flow_shift

DtypeName = Literal["float32", "float16", "bfloat16"]


_PLAIN_GUIDER = "ClassifierFreeGuidance"
_CACHES = ("first-block", "pab", "taylor")


@dataclass(frozen=True)
class Family:
    """Defaults, valid sizes and options of one family of pipelines."""

    name: str
    fps: int = 16
    """Frames per second of its training videos."""
    num_inference_steps: int = 50
    """Published number of denoising steps at full quality."""
    num_frames: Grid = ANY_NUMBER
    """Valid numbers of frames; the pipeline silently rounds any other, or crashes."""
    height: Grid = ANY_NUMBER
    """Valid heights in pixels."""
    width: Grid | None = None
    """Valid widths in pixels; None if they are the same as the heights."""
    half_dtypes: Mapping[str, DtypeName] = field(default_factory=lambda: {"default": "bfloat16"})
    """Published dtype on a GPU, by component."""
    max_sequence_length: int | None = None
    """Prompt tokens that the transformer's config names; None leaves the default of the pipeline's call."""
    tiled_vae: bool = False
    """Whether the autoencoder works only with tiling."""
    call_arguments: Mapping[str, object] = field(default_factory=dict)
    """Fixed arguments of the pipeline's call, which no setting changes."""
    solvers: tuple[str, ...] = ()
    """Solvers that fit its noise schedule, besides the pipeline's own."""
    has_flow_shift: bool = False
    """Whether the noise schedule has a flow shift that can be set."""
    draft_caches: tuple[str, ...] = ()
    """Feature caches that take effect on it."""
    options: tuple[str, ...] | None = ()
    """Extra settings that it takes; None if only its pipeline's signature can tell."""
    negative_prompt_needs: str | None = None
    """Setting that must be above 1 for a negative prompt to have an effect."""
    image_pipeline: str | None = None
    """Image-to-video pipeline class with the same components."""
    video_pipeline: str | None = None
    """Video-to-video pipeline class with the same components."""
    video_strength_keeps: bool = False
    """Whether `video_pipeline` takes a list of videos, and its strength is the part of them that is kept."""
    needs_image: bool = False
    """Whether it makes no video without an image."""
    num_branches: int = 2
    """Guidance branches that its pipelines denoise in one call."""
    splits_guidance: bool = False
    """Whether two GPUs can compute a guidance branch each: its transformer gets both in one batch, or in two
    calls of which only the second's text differs."""
    is_guided: bool = True
    """Whether a video that is told no guidance scale has a second guidance branch."""
    needs_more: str = ""
    """What else it needs to make a video, which cannot be given here."""
    decodes_apart: bool = True
    """Whether its pipelines decode once, and then only scale the colours of the frames."""

    @property
    def is_listed(self) -> bool:
        """Whether the table knows it; else its pipeline's signature decides."""
        return self.options is not None


def _cogvideox(configs: ComponentConfigs) -> Family:
    vae, transformer = configs.get("vae", {}), configs.get("transformer", {})
    spatial = 2 ** (len(vae.get("block_out_channels", (128, 256, 256, 512))) - 1)
    is_1_5 = bool(transformer.get("patch_size_t"))
    trained_on = transformer.get("sample_frames") or (81 if is_1_5 else 49)
    # Checkpoints made for image-to-video take twice the channels, and need that pipeline class.
    takes_images = transformer.get("in_channels", 16) == 2 * transformer.get("out_channels", 16)
    return Family(
        name="CogVideoX 1.5" if is_1_5 else "CogVideoX",
        fps=16 if is_1_5 else 8,
        # Twice the compression, because the VAE decodes latent frames in pairs after a first single one.
        # The maximum is the training length; 1.5 is also published for twice its 5 seconds.
        num_frames=Grid(
            2 * (temporal_compression(configs) or 4), 1, largest=2 * trained_on - 1 if is_1_5 else trained_on
        ),
        # The pipeline checks only for multiples of 8, and crashes later if patches do not fit.
        height=Grid(math.lcm(8, spatial * transformer.get("patch_size", 2))),
        half_dtypes={
            "default": "bfloat16" if transformer.get("use_rotary_positional_embeddings") else "float16"
        },
        draft_caches=_CACHES,
        image_pipeline="CogVideoXImageToVideoPipeline" if takes_images else None,
        video_pipeline=None if takes_images else "CogVideoXVideoToVideoPipeline",
        needs_image=takes_images,
        splits_guidance=True,
    )


def _wan(configs: ComponentConfigs) -> Family:
    vae = configs.get("vae", {})
    transformer = configs.get("transformer") or configs.get("transformer_2") or {}
    spatial = vae.get("scale_factor_spatial", 8)
    compresses_more = spatial == 16  # Wan 2.2 5B, which takes an image as its first latent frame
    needs_image = transformer.get("in_channels", 16) > transformer.get("out_channels", 16)
    return Family(
        name="Wan",
        fps=24 if compresses_more else 16,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(math.lcm(16, spatial * math.lcm(*transformer.get("patch_size", (1, 2, 2))[1:]))),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        draft_caches=_CACHES,
        options=("guidance_scale_2",) if "transformer_2" in configs else (),
        image_pipeline="WanImageToVideoPipeline" if compresses_more or needs_image else None,
        # That class supports one transformer, and one timestep for all latent frames.
        video_pipeline=None
        if compresses_more or needs_image or "transformer_2" in configs
        else "WanVideoToVideoPipeline",
        needs_image=needs_image,
        num_branches=1,
        needs_more="a last frame" if transformer.get("pos_embed_seq_len") else "",
        splits_guidance=True,
    )


def _anyflow(configs: ComponentConfigs) -> Family:
    return Family(
        name="AnyFlow",
        fps=16,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        splits_guidance=True,
        is_guided=False,  # it is distilled from guided videos
    )


def _skyreels(configs: ComponentConfigs) -> Family:
    return Family(
        name="SkyReels V2",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        splits_guidance=True,
    )


def _sana_video(configs: ComponentConfigs) -> Family:
    return Family(
        name="Sana Video",
        fps=16,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(32),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        # With binning it renders the nearest size of its own list, and scales and crops that.
        call_arguments={"use_resolution_binning": False},
        image_pipeline="SanaImageToVideoPipeline",
        splits_guidance=True,
    )


def _ltx(configs: ComponentConfigs) -> Family:
    vae = configs.get("vae", {})
    doublings = sum(vae.get("spatio_temporal_scaling", (True, True, True, False)))
    return Family(
        name="LTX",
        fps=24,
        num_frames=Grid(vae.get("patch_size_t", 1) * 2**doublings, 1),
        height=Grid(math.lcm(32, vae.get("patch_size", 4) * 2**doublings)),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        draft_caches=_CACHES,
        image_pipeline="LTXImageToVideoPipeline",
        video_pipeline="LTXConditionPipeline",
        video_strength_keeps=True,
        splits_guidance=True,
    )


def _hunyuan(configs: ComponentConfigs) -> Family:
    return Family(
        name="HunyuanVideo",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        half_dtypes={"default": "float16", "transformer": "bfloat16"},
        draft_caches=_CACHES,
        num_branches=1,
        # Its guidance_scale is an input of the transformer, which takes no negative prompt.
        options=("true_cfg_scale",),
        negative_prompt_needs="true_cfg_scale",
        splits_guidance=True,
        is_guided=False,
    )


def _hunyuan_1_5(configs: ComponentConfigs) -> Family:
    guider = configs.get("guider", {})
    return Family(
        name="HunyuanVideo 1.5",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(configs.get("vae", {}).get("spatial_compression_ratio", 16)),
        # Other guiders change the transformer between its calls, which a copy of it would not notice.
        splits_guidance=guider.get("_class_name", _PLAIN_GUIDER) == _PLAIN_GUIDER,
        is_guided=guider.get("enabled", True) and guider.get("guidance_scale", 6.0) > 1,
    )


def _mochi(configs: ComponentConfigs) -> Family:
    temporal = math.prod(configs.get("vae", {}).get("temporal_expansions", (1, 2, 3)))
    return Family(
        name="Mochi",
        fps=30,
        num_inference_steps=64,
        num_frames=Grid(temporal, 1),
        height=Grid(16),
        draft_caches=_CACHES,
        splits_guidance=True,
    )


def _allegro(configs: ComponentConfigs) -> Family:
    tile = configs.get("vae", {}).get("sample_size", 320)
    return Family(
        name="Allegro",
        fps=15,
        num_inference_steps=100,
        # Its autoencoder works in tiles of 24 frames with a stride of 16, and drops a tile that is not full.
        num_frames=Grid(16, 24),
        height=Grid(tile - 120, tile),
        width=Grid(tile - 80, tile),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        tiled_vae=True,
        splits_guidance=True,
    )


def _latte(configs: ComponentConfigs) -> Family:
    frames = configs.get("transformer", {}).get("video_length", 16)
    return Family(
        name="Latte",
        fps=8,
        num_frames=Grid(frames, frames, largest=frames),  # its temporal embedding has a fixed length
        height=Grid(16),
        half_dtypes={"default": "float16"},
        splits_guidance=True,
    )


def _animatediff(configs: ComponentConfigs) -> Family:
    most = configs.get("motion_adapter", {}).get("motion_max_seq_length", 32)
    return Family(
        name="AnimateDiff",
        fps=8,
        num_frames=Grid(1, 1, largest=most),
        num_inference_steps=25,
        height=Grid(8),
        half_dtypes={"default": "float16"},
        video_pipeline="AnimateDiffVideoToVideoPipeline",
    )


def _modelscope(_: ComponentConfigs) -> Family:
    return Family(
        name="ModelScope",
        fps=8,
        num_inference_steps=25,
        height=Grid(8),
        half_dtypes={"default": "float16"},
        video_pipeline="VideoToVideoSDPipeline",
    )


def _unlisted(pipeline_class: str, configs: ComponentConfigs) -> Family:
    """Family of a class that is not listed, with frames and sizes that its autoencoder and patches divide."""
    temporal = temporal_compression(configs)
    return Family(
        name=pipeline_class,
        num_frames=Grid(temporal, 1) if temporal else ANY_NUMBER,  # the first frame has its own latent frame
        height=Grid(pixels_of_a_patch(configs)),
        options=None,
        decodes_apart=False,
        # It needs some text to be guided away from.
        call_arguments={"negative_prompt": ""} if pipeline_class.startswith("EasyAnimate") else {},
    )


FAMILY_OF_PIPELINE: Mapping[str, Callable[[ComponentConfigs], Family]] = {
    "CogVideoXPipeline": _cogvideox,
    "CogVideoXImageToVideoPipeline": _cogvideox,
    "WanPipeline": _wan,
    "WanImageToVideoPipeline": _wan,
    "AnyFlowPipeline": _anyflow,
    "SkyReelsV2Pipeline": _skyreels,
    "SanaVideoPipeline": _sana_video,
    "SanaImageToVideoPipeline": _sana_video,
    "LTXPipeline": _ltx,
    "LTXConditionPipeline": _ltx,
    "HunyuanVideoPipeline": _hunyuan,
    "HunyuanVideo15Pipeline": _hunyuan_1_5,
    "MochiPipeline": _mochi,
    "AllegroPipeline": _allegro,
    "LattePipeline": _latte,
    "AnimateDiffPipeline": _animatediff,
    "TextToVideoSDPipeline": _modelscope,
}


def family_of(pipeline_class: str, configs: ComponentConfigs) -> Family:
    """Family of a diffusers pipeline class; one with few rules if the class is not listed.

    `configs` maps component names to their configs, such as `transformer/config.json`.
    """
    describe = FAMILY_OF_PIPELINE.get(pipeline_class)
    family = describe(configs) if describe else _unlisted(pipeline_class, configs)
    scheduler = configs.get("scheduler", {})
    return replace(
        family,
        # The call's default may belong to another checkpoint of the class, and would crash or mislead here.
        max_sequence_length=configs.get("transformer", {}).get("max_text_seq_length"),
        # A class may need more of its solver than the noise schedule tells.
        solvers=allowed_solvers(scheduler) if family.is_listed else (),
        has_flow_shift=has_flow_shift(scheduler),
    )
