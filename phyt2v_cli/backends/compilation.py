"""Compile the repeated blocks of a denoiser once, for all rounds, prompts and step counts.

Only the blocks: they are nearly all of the work, and one graph serves every block of a kind, so compiling
takes seconds instead of minutes. This file knows modules; it must not know prompts, rounds or memory.
"""

import os
from pathlib import Path
from typing import Any

import torch

PAYS_FROM = 5e16
"""Planned multiplications and additions in linear layers from which compiling pays for itself.

On one H200 with CogVideoX-5B compiling cost 19 s and saved 0.4 s of each step of 4e14, so it paid from about
50 steps; a slower card compiles no slower and saves more."""


def compile_blocks(pipeline: Any) -> None:
    """Let the blocks of the denoisers be compiled when they first run."""
    _keep_cache_between_processes()
    for block in _repeated_blocks(pipeline):
        # Its `forward`, not the block, so that what hooks a block stays outside of the graph. No full graph,
        # because the cache of a draft steps in at the attention.
        block.forward = torch.compile(block.forward)


def pays(pipeline: Any, *, num_tokens: int, num_steps: int) -> bool:
    """Return whether compiling is worth its time for `num_steps` steps over `num_tokens` latent tokens."""
    parameters = sum(p.numel() for block in _repeated_blocks(pipeline) for p in block.parameters())
    return 2 * parameters * num_tokens * num_steps >= PAYS_FROM


def _repeated_blocks(pipeline: Any) -> list[torch.nn.Module]:
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


def _keep_cache_between_processes() -> None:
    """Torch keeps compiled kernels in the temporary folder, which a restart empties."""
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(root / "phyt2v" / "inductor"))
