"""Copies of a denoiser on other GPUs, each called in a thread of its own.

There is one process: the thread of a copy launches the work of its GPU. This file knows a denoiser's call; it
must not know families, prompts, or what is shared between the GPUs.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.background import OwnThread
from phyt2v_cli.errors import BackendError, ConfigError

Within = Callable[[], AbstractContextManager[object]]
"""Makes the context manager in which a call runs, in its own thread."""


class Replica:
    """Copy of a denoiser on another device."""

    def __init__(
        self, denoiser: torch.nn.Module, device: torch.device, task: str, within: Within = nullcontext
    ) -> None:
        """Copy `denoiser` to `device`, weight by weight; `task` says in errors what it computes.

        Raises ConfigError if its weights cannot be copied.
        """
        self.module: Any = _copy_to(denoiser, device)
        """The copy, for inspection and compilation."""
        self.device = device
        self._task = task
        self._within = within
        self._thread = OwnThread(f"denoise on {device}")

    def begin(self, inputs: Mapping[str, Any], within: Within = nullcontext) -> Callable[[], Any]:
        """Begin a call, inside `within` too; the returned function waits for it and returns the output.

        Raises BackendError if the device runs out of memory, and so does the returned function.
        """
        inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        with self._shortage_translated():
            # Copied here: a copy waits for the work that was launched before it, and for no later work.
            there = moved(dict(inputs), self.device)

        def work() -> Any:
            with (
                within(),  # first, so that it sees whatever fails
                self._within(),
                self._shortage_translated(),
                torch.inference_mode(inference),
                torch.set_grad_enabled(gradients),
            ):
                if self.device.type == "cuda":
                    torch.cuda.set_device(self.device)
                return self.module.forward(**there)

        return self._thread.begin(work)

    def close(self) -> None:
        """Free the copy."""
        self._thread.close()
        self.module = None

    @contextmanager
    def _shortage_translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not failures.is_out_of_memory(error):
                raise
            # No out-of-memory error, after which the first GPU would be unloaded.
            raise BackendError(
                f"{self.device} ran out of memory while it denoised {self._task}.",
                "Make the video smaller, or use `generator.gpus=1`.",
            ) from None


def moved(value: Any, device: torch.device) -> Any:
    """Copy of a value whose tensors, also those in tuples, lists and dicts, are on `device`."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple | list):
        return type(value)(moved(part, device) for part in value)
    if isinstance(value, Mapping):
        return {name: moved(part, device) for name, part in value.items()}
    return value


def _copy_to(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Copy a module to a device, each weight straight there. Raises ConfigError if that cannot be done."""
    if any("forward" in part.__dict__ for part in module.modules()):
        raise ValueError("the module has a forward of its own, whose copy would call the original")
    memo: dict[int, Any] = {id(buffer): buffer.to(device) for buffer in module.buffers()}
    for weight in module.parameters():
        if type(weight) is not torch.nn.Parameter:
            raise ConfigError(
                f"generator.gpus: weights of kind {type(weight).__name__} cannot be copied to another GPU",
                "Use `generator.gpus=1`.",
            )
        memo[id(weight)] = torch.nn.Parameter(weight.data.to(device), requires_grad=weight.requires_grad)
    return copy.deepcopy(module, memo)
