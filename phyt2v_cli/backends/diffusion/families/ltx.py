"""LTX, and LTX-2 with its sound."""

import math

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import ComponentConfigs, Grid

_CACHES = ("first-block", "pab", "taylor")


def ltx(configs: ComponentConfigs) -> Family:
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
        attention_heads=configs.get("transformer", {}).get("num_attention_heads", 32),
    )


def ltx_2(configs: ComponentConfigs) -> Family:
    vae = configs.get("vae", {})
    # Checkpoints after 2.0 have a modulation that it lacks. The call's defaults are theirs.
    is_2_0 = not configs.get("transformer", {}).get("cross_attn_mod", False)
    return Family(
        name="LTX-2",
        fps=24,
        num_inference_steps=40 if is_2_0 else 30,
        num_frames=Grid(vae.get("temporal_compression_ratio") or 8, 1),
        height=Grid(math.lcm(32, vae.get("spatial_compression_ratio") or 32)),
        call_arguments={"use_cross_timestep": False, "spatio_temporal_guidance_blocks": [29]}
        if is_2_0
        else {},
        text_pipeline="LTX2Pipeline",
        image_pipeline="LTX2ImageToVideoPipeline",
        decodes_apart=False,  # it decodes its sound after its frames
    )


def ltx_2_hdr(_: ComponentConfigs) -> Family:
    return Family(name="LTX-2 HDR", needs_more="an HDR file, because its frames are linear light")
