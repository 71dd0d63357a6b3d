"""A tiny random video model of the real class, saved as a user would have it. What it predicts is noise."""

from pathlib import Path

import torch
from transformers import VJEPA2Config, VJEPA2Model


def save_vjepa2(path: Path) -> Path:
    """Save a V-JEPA 2 of 2 x 2 patches a frame; a tubelet is two frames."""
    torch.manual_seed(0)
    config = VJEPA2Config(
        crop_size=32,
        frames_per_clip=8,
        hidden_size=48,
        num_attention_heads=2,
        num_hidden_layers=2,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=2,
        pred_num_mask_tokens=1,
        pred_zero_init_mask_tokens=False,
    )
    VJEPA2Model(config).eval().save_pretrained(path)
    return path
