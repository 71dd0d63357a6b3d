"""The blocks that a denoiser repeats: nearly all of its work.

This file knows modules; it must not know prompts, rounds or memory.
"""

from typing import Any

import torch


def repeated_blocks(pipeline: Any) -> list[torch.nn.Module]:
    """Return the entries of each list of a denoiser in which a class repeats."""
    blocks: list[torch.nn.Module] = []
    for name in ("transformer", "transformer_2", "unet"):
        denoiser = getattr(pipeline, name, None)
        for child in denoiser.children() if denoiser is not None else ():
            if isinstance(child, torch.nn.ModuleList) and len(child) > 1 and _has_attention(child[0]):
                blocks += list(child)
    return blocks


def _has_attention(block: torch.nn.Module) -> bool:
    return any("attn" in name or "attention" in name for name, _ in block.named_children())
