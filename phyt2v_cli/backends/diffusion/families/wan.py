"""Wan, and families with its transformer or its autoencoder."""

import math
from dataclasses import replace

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import ComponentConfigs, Grid, temporal_compression

_CACHES = ("first-block", "pab", "taylor")


def wan(configs: ComponentConfigs) -> Family:
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
        attention_heads=transformer.get("num_attention_heads", 40),
    )


def anyflow(configs: ComponentConfigs) -> Family:
    return Family(
        name="AnyFlow",
        fps=16,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        splits_guidance=True,
        is_guided=False,  # it is distilled from guided videos
    )


def skyreels(configs: ComponentConfigs) -> Family:
    return Family(
        name="SkyReels V2",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        half_dtypes={"default": "bfloat16", "vae": "float32"},
        splits_guidance=True,
    )


def skyreels_forcing(configs: ComponentConfigs) -> Family:
    return replace(
        skyreels(configs),
        name="SkyReels V2 diffusion forcing",
        num_inference_steps=30,
        # Beyond 97 frames it goes on from the last 17 of them, to which it adds a little noise.
        call_arguments={"overlap_history": 17, "addnoise_condition": 20},
        # Each latent frame has a solver of its own, which this one's state does not allow.
        unfit_solvers=("flow-euler",),
        num_branches=1,
        splits_guidance=False,
    )


def sana_video(configs: ComponentConfigs) -> Family:
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
