"""Offload levels of a pipeline's weights: resident on the device, or on the CPU and copied when needed.

There are four levels, each of which needs less device memory than the one before, and is slower: `none`
(resident), `model` (one component at a time), `group` (block by block, with prefetch of the next block) and
`sequential` (layer by layer). A decode that runs out of memory beside resident weights is done without them.
This file knows memory and components; it must not know prompts, rounds or families.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from phyt2v_cli.backends.memory.activations import (
    VideoSize,
    decode_bytes,
    denoise_bytes,
    tiled_decode_bytes,
)

OffloadLevel = Literal["none", "model", "group", "sequential"]
Offload = OffloadLevel | Literal["auto"]

OFFLOAD_LEVELS: tuple[OffloadLevel, ...] = ("none", "model", "group", "sequential")
"""Ordered from most to least device memory, and from fastest to slowest.

Each out-of-memory error moves one level on. A video of 50 steps took 11.5 s with `model` and 12.7 s with
`group` (LTX-Video on one H100, benchmarks/gpu_memory.py), and 94.0 and 95.4 s (CogVideoX-5B).
"""

_CONTEXT_BYTES = 2**29
"""Bytes that CUDA's libraries allocate on their first use."""

_DECODE_MARGIN = 1.4
"""Room for a whole decode, in parts of its estimate: its large tensors leave gaps in the allocator's memory.

CogVideoX-5B's 16 GB ran out of memory with 22 GB free (docs/memory.md), which costs more than tiles do.
"""

_DECODE_ALONE: OffloadLevel = "model"
"""Level at which the autoencoder is alone on the device while it decodes."""

_HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")


@dataclass(frozen=True)
class MemoryNeed:
    """Device memory that a pipeline needs, in bytes, by purpose."""

    weights: int
    largest_component: int
    group: int
    """Weights that are on the device at one time at level `group`."""
    denoise: int
    """Activations, without the weights; so are the next two."""
    decode: int
    tiled_decode: int
    autoencoder: int = 0
    """Weights of the autoencoder."""

    def weights_at(self, level: OffloadLevel) -> int:
        """Bytes of weights on the device at one time at a level, and of CUDA's own context."""
        sizes = {"none": self.weights, "model": self.largest_component, "group": self.group, "sequential": 0}
        return sizes[level] + _CONTEXT_BYTES

    def weights_in_decode(self, level: OffloadLevel) -> int:
        """Bytes of weights on the device in a decode at a level, and of CUDA's own context."""
        return self.weights_at("none") if level == "none" else self.autoencoder + _CONTEXT_BYTES

    def at(self, level: OffloadLevel) -> int:
        """Bytes needed in total at a level, with tiled decoding."""
        decode = self.weights_in_decode(level) + self.tiled_decode
        return max(self.weights_at(level) + self.denoise, decode)

    def must_tile(self, level: OffloadLevel, free: int) -> bool:
        """Whether a whole decode may not fit beside the weights of a level into `free` bytes."""
        return _DECODE_MARGIN * self.decode > free - self.weights_in_decode(level)

    def must_decode_alone(self, level: OffloadLevel, free: int) -> bool:
        """Whether not even a tiled decode fits beside the weights of a level into `free` bytes."""
        return level == "none" and self.tiled_decode > free - self.weights_in_decode(level)


@dataclass(frozen=True)
class Placement:
    """Offload level of a pipeline, the reason for it, and how it decodes."""

    level: OffloadLevel
    reason: str
    tiled_decode: bool = False
    decode_level: OffloadLevel | None = None
    """Offload level while a video is decoded, if that is another one."""

    def level_of(self, *, decoding: bool) -> OffloadLevel:
        """Offload level of a stage."""
        return self.decode_level if decoding and self.decode_level is not None else self.level


def need_of(pipeline: Any, video: VideoSize, *, decodes_apart: bool = True) -> MemoryNeed:
    """Estimate the device memory of `pipeline` for videos of a size.

    A pipeline that decodes in the call that denoises needs the memory of either for its denoising.
    """
    sizes = {name: _num_bytes(module) for name, module in _modules(pipeline).items()}
    has_token_times = bool(pipeline.config.get("expand_timesteps"))
    blocks = [_largest_block(module) for module in _denoisers(pipeline)]
    outside_blocks = sum(sizes[name] for name in _kept_on_device(pipeline))
    denoise = max(
        (denoise_bytes(m, video, has_token_times=has_token_times) for m in _denoisers(pipeline)), default=0
    )
    tiled_decode = tiled_decode_bytes(pipeline.vae, video)
    return MemoryNeed(
        weights=sum(sizes.values()),
        largest_component=max(sizes.values()),
        # The current block, the prefetched one, and what lies between blocks.
        group=outside_blocks + 3 * max(blocks, default=0),
        denoise=denoise if decodes_apart else max(denoise, tiled_decode),
        decode=decode_bytes(pipeline.vae, video),
        tiled_decode=tiled_decode,
        autoencoder=sizes.get("vae", 0),
    )


def bytes_of_second(pipeline: Any, video: VideoSize) -> int:
    """Estimate the device memory of a second GPU that has copies of the denoisers, for videos of a size."""
    return sum(map(_num_bytes, _denoisers(pipeline))) + need_of(pipeline, video).denoise


def choose(need: MemoryNeed, *, free: int, host_free: int, wanted: Offload) -> Placement:
    """Fastest offload level that fits into `free` bytes of device memory and `host_free` bytes of RAM.

    If nothing fits it is `sequential`. A level in `wanted` is used as it is; only `auto` chooses. A decode
    that does not fit at that level is tiled, and if that does not fit either, done at another level.
    """
    if wanted != "auto":
        return _with_decode(need, Placement(wanted, "as configured"), free)
    resident = f"resident it needs {_gb(need.at('none'))}, {_gb(free)} are free"
    fits = [level for level in OFFLOAD_LEVELS if need.at(level) <= free]
    if need.weights > host_free:
        # Prefetch copies from page-locked memory, which cannot be swapped out.
        fits = [level for level in fits if level != "group"]
    level: OffloadLevel = fits[0] if fits else "sequential"
    return _with_decode(need, Placement(level, resident), free)


def _with_decode(need: MemoryNeed, placement: Placement, free: int) -> Placement:
    alone = _DECODE_ALONE if need.must_decode_alone(placement.level, free) else None
    tiled = need.must_tile(alone or placement.level, free)
    return replace(placement, tiled_decode=tiled, decode_level=alone)


def lower(placement: Placement, levels: Sequence[OffloadLevel], *, decoding: bool) -> Placement | None:
    """Next placement to try after an out-of-memory error; None if no level of `levels` is left.

    An error in decoding first turns on tiling, and then lowers the level of decoding alone.
    """
    if decoding:
        return _lower_decode(placement, levels)
    left = levels[levels.index(placement.level) + 1 :]
    if not left:
        return None
    return Placement(left[0], f"out of memory with {placement.level}", tiled_decode=True)


def _lower_decode(placement: Placement, levels: Sequence[OffloadLevel]) -> Placement | None:
    reason = f"{placement.reason}; out of memory in decoding"
    if not placement.tiled_decode:
        return replace(placement, tiled_decode=True, reason=reason)
    left = levels[levels.index(placement.level_of(decoding=True)) + 1 :]
    return replace(placement, decode_level=left[0], reason=reason) if left else None


def place(pipeline: Any, level: OffloadLevel, device: torch.device) -> None:
    """Apply an offload level: remove earlier offloading, move the weights, and set up this one.

    Raises what torch and diffusers raise, out-of-memory errors included.
    """
    lift(pipeline)
    match level:
        case "none":
            pipeline.to(device)
        case "model":
            pipeline.enable_model_cpu_offload(device=device)
        case "group":
            _offload_groups(pipeline, device)
        case "sequential":
            pipeline.to("cpu")
            pipeline.enable_sequential_cpu_offload(device=device)


def tile_decodes(pipeline: Any, *, on: bool) -> None:
    """Decode in tiles or whole, if the autoencoder can do both."""
    if hasattr(pipeline.vae, "enable_tiling"):
        (pipeline.vae.enable_tiling if on else pipeline.vae.disable_tiling)()


def lift(pipeline: Any) -> None:
    """Remove all offloading hooks; the weights stay on the devices they are on."""
    pipeline.remove_all_hooks()
    for component in _modules(pipeline).values():
        for module in component.modules():
            registry: Any = getattr(module, "_diffusers_hook", None)
            for name in _HOOKS if registry is not None else ():
                registry.remove_hook(name, recurse=False)


def host_free_bytes() -> int:
    """Available RAM in bytes; 2**62 if the system does not report it."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _page_cache_bytes()
    except (ValueError, OSError):
        return 2**62


def _page_cache_bytes() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - no regular file
            fields = {line.split(":")[0]: int(line.split()[1]) for line in file}
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, fields.get("MemAvailable", 0) - fields.get("MemFree", 0)) * 1024


def _offload_groups(pipeline: Any, device: torch.device) -> None:
    from diffusers.hooks import apply_group_offloading

    pipeline.to("cpu")
    denoisers = _denoisers(pipeline)
    kept = _kept_on_device(pipeline)
    for name, module in _modules(pipeline).items():
        if name in kept:
            module.to(device)
            continue
        by_block = any(module is denoiser for denoiser in denoisers)
        apply_group_offloading(
            module,
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level" if by_block else "leaf_level",
            num_blocks_per_group=1 if by_block else None,
            use_stream=device.type == "cuda",
            non_blocking=True,
        )


def _kept_on_device(pipeline: Any) -> tuple[str, ...]:
    """Components that level `group` leaves on the device.

    These are autoencoders: they are small, and their layers are called too often to be worth moving.
    """
    return tuple(name for name in _modules(pipeline) if "vae" in name)


def _modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    return {name: m for name, m in pipeline.components.items() if isinstance(m, torch.nn.Module)}


def _denoisers(pipeline: Any) -> list[Any]:
    names = ("transformer", "transformer_2", "unet")
    return [module for name in names if (module := getattr(pipeline, name, None)) is not None]


def _num_bytes(module: torch.nn.Module) -> int:
    return sum(_tensor_bytes(t) for t in (*module.parameters(), *module.buffers()))


def _tensor_bytes(tensor: Any) -> int:
    if is_traceable_wrapper_subclass(tensor):  # quantized: its own size is that of the original dtype
        parts = tensor.__tensor_flatten__()[0]
        return sum(_tensor_bytes(getattr(tensor, name)) for name in parts)
    return int(tensor.numel() * tensor.element_size())


def _largest_block(module: torch.nn.Module) -> int:
    lists = [child for child in module.children() if isinstance(child, torch.nn.ModuleList)]
    return max((_num_bytes(block) for blocks in lists for block in blocks), default=_num_bytes(module))


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
