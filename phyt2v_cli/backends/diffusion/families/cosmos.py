"""Cosmos of NVIDIA, which checks its prompts and frames with a guardrail."""

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import (
    ComponentConfigs,
    Grid,
    pixels_of_a_patch,
    temporal_compression,
)


def cosmos_predict_2_5(configs: ComponentConfigs) -> Family:
    pipeline_class = "Cosmos2_5_PredictBasePipeline"
    resizes = configs.get("transformer", {}).get("concat_padding_mask", True)
    return Family(
        name="Cosmos-Predict 2.5",
        fps=16,
        num_inference_steps=36,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        image_pipeline=pipeline_class,
        video_pipeline=pipeline_class,
        num_branches=1,
        needs_packages=("cosmos_guardrail", "torchvision") if resizes else ("cosmos_guardrail",),
        decodes_apart=False,  # its guardrail looks at the decoded frames, and blurs faces
    )


def cosmos_3(configs: ComponentConfigs) -> Family:
    pipeline_class = "Cosmos3OmniPipeline"
    makes_sound = configs.get("transformer", {}).get("sound_gen") and "sound_tokenizer" in configs
    return Family(
        name="Cosmos 3",
        fps=24,
        num_inference_steps=35,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(max(16, pixels_of_a_patch(configs))),
        call_arguments={"enable_sound": bool(makes_sound)},
        image_pipeline=pipeline_class,
        video_pipeline=pipeline_class,
        num_branches=1,
        decodes_apart=False,  # as Predict 2.5; and there may be sound
    )
