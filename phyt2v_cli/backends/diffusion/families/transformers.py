"""Families with a transformer of their own."""

import math

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import ComponentConfigs, Grid, temporal_compression

_PLAIN_GUIDER = "ClassifierFreeGuidance"
_CACHES = ("first-block", "pab", "taylor")


def cogvideox(configs: ComponentConfigs) -> Family:
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
        attention_heads=transformer.get("num_attention_heads", 30),
    )


def hunyuan(configs: ComponentConfigs) -> Family:
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
        attention_heads=configs.get("transformer", {}).get("num_attention_heads", 24),
        is_guided=False,
    )


def hunyuan_1_5(configs: ComponentConfigs) -> Family:
    guider = configs.get("guider", {})
    # Other guiders change the transformer between its calls, which a copy of it would not notice.
    can_be_copied = guider.get("_class_name", _PLAIN_GUIDER) == _PLAIN_GUIDER
    return Family(
        name="HunyuanVideo 1.5",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(configs.get("vae", {}).get("spatial_compression_ratio", 16)),
        num_branches=1,
        splits_guidance=can_be_copied,
        attention_heads=configs.get("transformer", {}).get("num_attention_heads", 16) * can_be_copied,
        is_guided=guider.get("enabled", True) and guider.get("guidance_scale", 6.0) > 1,
    )


def mochi(configs: ComponentConfigs) -> Family:
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


def allegro(configs: ComponentConfigs) -> Family:
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


def latte(configs: ComponentConfigs) -> Family:
    frames = configs.get("transformer", {}).get("video_length", 16)
    return Family(
        name="Latte",
        fps=8,
        num_frames=Grid(frames, frames, largest=frames),  # its temporal embedding has a fixed length
        height=Grid(16),
        half_dtypes={"default": "float16"},
        splits_guidance=True,
    )
