"""Device of a config section, its free memory, and release of torch's cache.

This file must not know any model.
"""

import gc
from typing import Literal

import torch

from phyt2v_cli.errors import ConfigError


def choose_device(wanted: Literal["auto", "cpu", "cuda"], section: str) -> torch.device:
    """Choose the torch device for `wanted`; `auto` prefers CUDA.

    `section` is the config section to name in errors. Raises ConfigError if `cuda` is wanted and missing.
    """
    is_there = torch.cuda.is_available()
    if wanted == "cuda" and not is_there:
        raise ConfigError(f"{section}.device: torch sees no CUDA device here", "Use auto or cpu.")
    if wanted == "auto":
        return torch.device("cuda" if is_there else "cpu")
    return torch.device(wanted)


def free_bytes() -> int:
    """Bytes that torch can still allocate on the current CUDA device.

    Unlike `mem_get_info` it counts torch's cache as free, since torch can reuse it, and respects
    `set_per_process_memory_fraction`.
    """
    allocated = torch.cuda.memory_allocated()
    cached = torch.cuda.memory_reserved() - allocated
    free, total = torch.cuda.mem_get_info()
    allowed = int(torch.cuda.get_per_process_memory_fraction() * total) - allocated
    return min(free + cached, allowed)


def release() -> None:
    """Free unreachable tensors, such as those of a failed call, and release torch's cached device memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
