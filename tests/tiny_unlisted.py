"""Tiny random pipelines of classes that no family's table lists. The pictures are noise."""

from pathlib import Path

import torch
from diffusers import (
    FlowMatchLCMScheduler,
    HeliosPipeline,
    HeliosScheduler,
    HeliosTransformer3DModel,
    WanPipeline,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)

from tests.tiny_pipelines import (
    save_pipeline,
    tiny_text_encoder,
    tiny_tokenizer,
    tiny_wan_transformer,
    tiny_wan_vae,
)


def save_helios(path: Path) -> Path:
    """Save a Helios, which denoises and decodes 33 frames at a time; return the path."""
    torch.manual_seed(0)
    pipeline = HeliosPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=tiny_wan_vae(),
        transformer=HeliosTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=1,
            rope_dim=(4, 4, 4),
            has_multi_term_memory_patch=True,
        ),
        scheduler=HeliosScheduler(stage_range=[0, 1], stages=1, use_dynamic_shifting=True),
    )
    return save_pipeline(pipeline, path)


def save_vace(path: Path) -> Path:
    """Save a Wan VACE, which renders from text alone too; return the path."""
    torch.manual_seed(0)
    pipeline = WanVACEPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=tiny_wan_vae(),
        transformer=WanVACETransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=3,
            rope_max_seq_len=32,
            vace_layers=[0, 2],
            vace_in_channels=96,
        ),
        scheduler=_noisy_scheduler(),
    )
    return save_pipeline(pipeline, path)


def save_noisy_wan(path: Path) -> Path:
    """Save a Wan whose solver draws noise at each step; return the path."""
    torch.manual_seed(0)
    pipeline = WanPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=tiny_wan_vae(),
        transformer=tiny_wan_transformer(),
        scheduler=_noisy_scheduler(),
    )
    return save_pipeline(pipeline, path)


def _noisy_scheduler() -> FlowMatchLCMScheduler:
    return FlowMatchLCMScheduler(shift=3.0)
