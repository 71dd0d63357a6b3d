"""Kandinsky 5, and Kandinsky 6 with its sound."""

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import (
    ComponentConfigs,
    Grid,
    pixels_of_a_patch,
    temporal_compression,
)


def kandinsky_5(configs: ComponentConfigs) -> Family:
    is_sparse = configs.get("transformer", {}).get("attention_type") == "nabla"
    return Family(
        name="Kandinsky 5",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(16),
        num_branches=1,
        needs_more="sparse attention (nabla)" if is_sparse else "",
    )


def kandinsky_6(configs: ComponentConfigs) -> Family:
    makes_sound = "audio_vae" in configs and "vocoder" in configs
    takes_images = configs.get("transformer", {}).get("visual_cond", True)
    return Family(
        name="Kandinsky 6",
        fps=24,
        num_frames=Grid(temporal_compression(configs) or 4, 1),
        height=Grid(max(16, pixels_of_a_patch(configs))),
        call_arguments={"sample_audio": makes_sound},
        image_pipeline="Kandinsky6TI2VAPipeline" if takes_images else None,
        num_branches=1,
        decodes_apart=False,  # it decodes its sound after its frames
    )
