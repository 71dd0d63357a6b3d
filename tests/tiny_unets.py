"""Tiny random pipelines of the classes that still denoise with a U-Net. The pictures are noise."""

from pathlib import Path

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
)

from tests.tiny_families import letter_tokenizer, tiny_clip_text_model
from tests.tiny_pipelines import save_pipeline


def _image_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=16,
    )


def save_animatediff(path: Path) -> Path:
    """Save an AnimateDiff, whose autoencoder knows pictures only; it renders 18 frames of 16x16."""
    torch.manual_seed(0)
    channels = (8, 8)
    pipeline = AnimateDiffPipeline(
        tokenizer=letter_tokenizer(),
        text_encoder=tiny_clip_text_model(8),
        vae=_image_vae(),
        unet=UNet2DConditionModel(
            block_out_channels=channels,
            layers_per_block=1,
            sample_size=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=8,
            norm_num_groups=2,
        ),
        motion_adapter=MotionAdapter(
            block_out_channels=channels,
            motion_layers_per_block=1,
            motion_norm_num_groups=2,
            motion_num_attention_heads=4,
        ),
        scheduler=DDIMScheduler(beta_schedule="linear", clip_sample=False),
    )
    return save_pipeline(pipeline, path)


def save_text_to_video_sd(path: Path) -> Path:
    """Save a ModelScope text-to-video; it renders 4 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    pipeline = TextToVideoSDPipeline(
        tokenizer=letter_tokenizer(),
        text_encoder=tiny_clip_text_model(8),
        vae=_image_vae(),
        unet=UNet3DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            sample_size=2,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=8,
            attention_head_dim=4,
            norm_num_groups=2,
        ),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False),
    )
    return save_pipeline(pipeline, path)
