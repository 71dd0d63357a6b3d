"""Room for the denoisers on the second GPU of a guidance split.

This file knows memory and the size of a video; it must not know prompts or rounds.
"""

from typing import Any

import torch

from phyt2v_cli.backends.diffusion.geometry import video_size
from phyt2v_cli.backends.diffusion.pipeline import configs_of
from phyt2v_cli.backends.memory import offloading
from phyt2v_cli.backends.memory.device import free_bytes
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError


def if_there_is_room(gpu: torch.device | None, pipeline: Any, config: GeneratorConfig) -> torch.device | None:
    """Second GPU, or None if the denoisers do not fit into it; BackendError if just two GPUs are wanted."""
    if gpu is None or gpu.type != "cuda":
        return gpu
    needed = offloading.bytes_of_second(pipeline, video_size(config, configs_of(pipeline), num_branches=1))
    free = free_bytes(gpu)
    if needed <= free:
        return gpu
    if config.gpus == "auto":
        return None
    raise BackendError(
        f"{gpu} needs about {needed / 1e9:.1f} GB for a copy of the model, and {free / 1e9:.1f} GB are free.",
        "Free it, or use `generator.gpus=1`.",
    )
