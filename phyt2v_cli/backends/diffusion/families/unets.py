"""Families with a U-Net."""

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import ComponentConfigs, Grid


def animatediff(configs: ComponentConfigs) -> Family:
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


def modelscope(_: ComponentConfigs) -> Family:
    return Family(
        name="ModelScope",
        fps=8,
        num_inference_steps=25,
        height=Grid(8),
        half_dtypes={"default": "float16"},
        video_pipeline="VideoToVideoSDPipeline",
    )
