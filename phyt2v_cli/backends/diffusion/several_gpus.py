"""One video on several GPUs: what they share, by a family's rules, and the copies of its denoisers.

This file knows memory and the size of a video; it must not know prompts or rounds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from phyt2v_cli.backends.acceleration.attention import Attention
from phyt2v_cli.backends.acceleration.context_parallel import ContextParallelDenoiser
from phyt2v_cli.backends.acceleration.guidance_split import SplitDenoiser
from phyt2v_cli.backends.acceleration.replicas import Replica
from phyt2v_cli.backends.diffusion.geometry import video_size
from phyt2v_cli.backends.diffusion.pipeline import configs_of
from phyt2v_cli.backends.memory import offloading
from phyt2v_cli.backends.memory.device import free_bytes
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError


class Sharing(NamedTuple):
    """GPUs of one video."""

    others: tuple[torch.device, ...] = ()
    """GPUs besides the first."""
    branches: int = 1
    """2 if half of the GPUs computes each guidance branch, 1 if all compute both."""


ALONE = Sharing()
"""The first GPU makes each video by itself."""


def with_room(sharing: Sharing, pipeline: Any, config: GeneratorConfig) -> Sharing:
    """`sharing`, or nobody to share with if the denoisers do not fit into one of the GPUs.

    Raises BackendError if a number of GPUs is wanted and one has no room.
    """
    needed = None
    for gpu in sharing.others:
        if gpu.type != "cuda":
            continue
        if needed is None:
            size = video_size(config, configs_of(pipeline), num_branches=1)
            needed = offloading.bytes_of_second(pipeline, size)
        free = free_bytes(gpu)
        if needed <= free:
            continue
        if config.gpus == "auto":
            return ALONE
        raise BackendError(
            f"{gpu} needs about {needed / 1e9:.1f} GB for a copy of the model, and "
            f"{free / 1e9:.1f} GB are free.",
            "Free it, or use `generator.gpus=1`.",
        )
    return sharing


class SharedDenoiser:
    """Denoiser whose calls are shared by several GPUs."""

    def __init__(
        self, denoiser: torch.nn.Module, sharing: Sharing, *, num_tokens: int, attention: Attention
    ) -> None:
        """Copy `denoiser`, whose calls see `num_tokens` tokens, to the other GPUs, and share its calls.

        Raises ConfigError if its weights cannot be copied.
        """
        within = attention.in_use
        gpus: Sequence[torch.device | None] = (None, *sharing.others)
        size = len(gpus) // sharing.branches
        second: Replica | None = None
        if sharing.branches > 1:
            there = sharing.others[size - 1]
            second = Replica(denoiser, there, "the second guidance branch", within)
        # Copied before the calls are shared: a copy would share those of the original.
        groups = [(denoiser, sharing.others[: size - 1])]
        if second is not None:
            groups.append((second.module, sharing.others[size:]))
        self._contexts = [
            ContextParallelDenoiser(
                module, others, num_tokens=num_tokens, attend=attention.attend, within=within
            )
            for module, others in groups
            if others
        ]
        self._split = None if second is None else SplitDenoiser(denoiser, second)
        self.replicas = [
            *([] if second is None else [second]),
            *(replica for context in self._contexts for replica in context.replicas),
        ]
        """The copies, for inspection and compilation."""

    def end_video(self) -> dict[str, str]:
        """Free what a video left, and tell how it was made."""
        told = {}
        if self._split is not None:
            told["guidance_split"] = "on" if self._split.end_video() else "off: no call could be shared"
        if self._contexts:
            were_split = [context.end_video() for context in self._contexts]
            told["context_parallel"] = "on" if any(were_split) else "off: no call could be shared"
        return told

    def close(self) -> None:
        """Free the copies; the denoiser cannot be called afterwards."""
        for part in (self._split, *self._contexts):
            if part is not None:
                part.close()
