"""Table of the families of text-to-video pipelines, by pipeline class.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. A
class that is not listed here works from its components' configs, its pipeline's signature and the user's
config.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from phyt2v_cli.backends.diffusion.families import cosmos, kandinsky, ltx, transformers, unets, wan
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import (
    ANY_NUMBER,
    ComponentConfigs,
    Grid,
    pixels_of_a_patch,
    temporal_compression,
)
from phyt2v_cli.backends.diffusion.solver_rules import allowed_solvers, has_flow_shift


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
    "CogVideoXPipeline": transformers.cogvideox,
    "CogVideoXImageToVideoPipeline": transformers.cogvideox,
    "WanPipeline": wan.wan,
    "WanImageToVideoPipeline": wan.wan,
    "AnyFlowPipeline": wan.anyflow,
    "SkyReelsV2Pipeline": wan.skyreels,
    "SkyReelsV2DiffusionForcingPipeline": wan.skyreels_forcing,
    "SanaVideoPipeline": wan.sana_video,
    "SanaImageToVideoPipeline": wan.sana_video,
    "LTXPipeline": ltx.ltx,
    "LTXConditionPipeline": ltx.ltx,
    "LTX2Pipeline": ltx.ltx_2,
    "LTX2ImageToVideoPipeline": ltx.ltx_2,
    "LTX2ConditionPipeline": ltx.ltx_2,
    "LTX2HDRPipeline": ltx.ltx_2_hdr,
    "HunyuanVideoPipeline": transformers.hunyuan,
    "HunyuanVideo15Pipeline": transformers.hunyuan_1_5,
    "Kandinsky5T2VPipeline": kandinsky.kandinsky_5,
    "Kandinsky6TI2VAPipeline": kandinsky.kandinsky_6,
    "Cosmos2_5_PredictBasePipeline": cosmos.cosmos_predict_2_5,
    "Cosmos3OmniPipeline": cosmos.cosmos_3,
    "MochiPipeline": transformers.mochi,
    "AllegroPipeline": transformers.allegro,
    "LattePipeline": transformers.latte,
    "AnimateDiffPipeline": unets.animatediff,
    "TextToVideoSDPipeline": unets.modelscope,
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
        solvers=tuple(name for name in allowed_solvers(scheduler) if name not in family.unfit_solvers)
        if family.is_listed
        else (),
        has_flow_shift=has_flow_shift(scheduler),
    )
