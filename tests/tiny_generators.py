"""The product's generator on a tiny real pipeline, which can run out of memory as on a GPU. Holds no test."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.backends.memory.offloading import OFFLOAD_LEVELS
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import Latents, OnStep


def make_generator(folder: Path, **settings: str) -> DiffusersGenerator:
    size = {"num_frames": 9, "height": 16, "width": 16}
    return load(GeneratorConfig.model_validate({"model": str(folder), **size, "device": "cpu", **settings}))


def denoise(generator: DiffusersGenerator, on_step: OnStep = lambda *_: None) -> Latents:
    return generator.denoise("a ball drops", seed=0, num_inference_steps=4, on_step=on_step).latents


def give_all_levels(generator: DiffusersGenerator) -> None:
    """Let a generator on a CPU fall as one on a GPU does.

    diffusers offloads to a CPU too, but accelerate cannot do it layer by layer: that one call, and nothing
    else of the last level, is shown only on a GPU, by benchmarks/gpu_memory.py.
    """
    generator.placed.levels = OFFLOAD_LEVELS
    generator.pipeline.enable_sequential_cpu_offload = lambda device: generator.pipeline.to(device)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def failing(
    original: Callable[..., Any], calls: Collection[int], error: Exception = OUT_OF_MEMORY
) -> Callable[..., Any]:
    """Return a function whose `calls`, counted from 1, fail as on a full GPU; the others do the original."""
    num_calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        if num_calls in calls:
            raise error
        return original(*args, **kwargs)

    return call


def run_out_of_memory(owner: Any, name: str, calls: Collection[int]) -> None:
    """Let these calls of a method, counted from 1, fail as a full GPU does, and the others work as before."""
    setattr(owner, name, failing(getattr(owner, name), calls))
