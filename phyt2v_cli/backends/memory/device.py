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


def choose_other_gpus(
    wanted: int | Literal["auto"], device: torch.device, *, most: int
) -> tuple[torch.device, ...]:
    """Choose the GPUs that share a video with `device`, of which `most` can; empty if that computes alone.

    `auto` takes those of the same kind. Raises ConfigError if a number is wanted and there are not as many,
    or they are of different kinds.
    """
    if wanted == 1 or (wanted == "auto" and device.type != "cuda"):
        return ()
    there = torch.cuda.device_count()
    if wanted != "auto" and (there < wanted or device.type != "cuda"):
        seen = f"torch sees {there or 'none'}" if there < wanted else "the generator is on the CPU"
        raise ConfigError(f"generator.gpus: {wanted} are wanted, and {seen}", "Use `generator.gpus=1`.")
    first = torch.cuda.current_device()
    names = {number: torch.cuda.get_device_name(number) for number in range(there)}
    equal = [number for number, name in names.items() if number != first and name == names[first]]
    if wanted != "auto" and len(equal) < wanted - 1:
        kinds = ", ".join(f"{number}: {name}" for number, name in names.items())
        raise ConfigError(
            f"generator.gpus: the GPUs are of different kinds, and the slowest would set the pace ({kinds})",
            "Choose equal ones with CUDA_VISIBLE_DEVICES, or use `generator.gpus=1`.",
        )
    num_others = most - 1 if wanted == "auto" else wanted - 1
    return tuple(torch.device("cuda", number) for number in equal[:num_others])


def free_bytes(gpu: torch.device | None = None) -> int:
    """Bytes that torch can still allocate on a CUDA device; None: on the current one.

    Unlike `mem_get_info` it counts torch's cache as free, since torch can reuse it, and respects
    `set_per_process_memory_fraction`.
    """
    allocated = torch.cuda.memory_allocated(gpu)
    cached = torch.cuda.memory_reserved(gpu) - allocated
    free, total = torch.cuda.mem_get_info(gpu)
    allowed = int(torch.cuda.get_per_process_memory_fraction(gpu) * total) - allocated
    return min(free + cached, allowed)


def release() -> None:
    """Free unreachable tensors, such as those of a failed call, and release torch's cached device memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
