"""How much memory an accelerator has for us, and how to give some back. Knows no model."""

import gc

import torch


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
