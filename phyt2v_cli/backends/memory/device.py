"""The device that a section of the config names, how much memory it has for us, and how to give some back.

Knows no model.
"""

import gc
from typing import Literal

import torch

from phyt2v_cli.errors import ConfigError


def choose_device(wanted: Literal["auto", "cpu", "cuda"], section: str) -> torch.device:
    """Return the device that `section`.device names; raise ConfigError where it is not there."""
    is_there = torch.cuda.is_available()
    if wanted == "cuda" and not is_there:
        raise ConfigError(f"{section}.device: torch sees no CUDA device here", "Use auto or cpu.")
    if wanted == "auto":
        return torch.device("cuda" if is_there else "cpu")
    return torch.device(wanted)


def free_bytes() -> int:
    """Return what torch can still allocate on the current CUDA device.

    `mem_get_info` knows nothing of torch's cache, which can be used again, nor of
    `set_per_process_memory_fraction`, which torch keeps to.
    """
    allocated = torch.cuda.memory_allocated()
    cached = torch.cuda.memory_reserved() - allocated
    free, total = torch.cuda.mem_get_info()
    allowed = int(torch.cuda.get_per_process_memory_fraction() * total) - allocated
    return min(free + cached, allowed)


def release() -> None:
    """Give back what an abandoned call has left on the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
