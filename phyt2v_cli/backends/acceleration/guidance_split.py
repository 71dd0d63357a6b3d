"""Guidance split: one video on two GPUs, each of which computes one guidance branch of every step.

Classifier-free guidance asks the denoiser twice in each step, with the prompt and without it. A pipeline does
that in one call with both branches in a batch, or in two calls. The denoiser is copied to the second GPU:

- Of a batch each GPU gets a half.
- Of two calls the second is computed ahead: its inputs are those of the first, but for some that are the same
  in all steps. What was computed is used only if the second call comes with the very tensors that were
  guessed, so a wrong guess costs time and changes nothing.

A family must not change the denoiser itself between its calls, nor those tensors in place: the caller knows
which do not. There is one process: a thread launches the work of the second GPU. This file knows a denoiser's
call; it must not know families, prompts or memory.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.background import OwnThread
from phyt2v_cli.errors import BackendError, ConfigError

MOST_GPUS = 2
"""Guidance has two branches."""
_BATCHED = frozenset(
    {
        "hidden_states",
        "encoder_hidden_states",
        "encoder_attention_mask",
        "timestep",
        "r_timestep",
        "video_coords",
    }
)
"""Inputs whose first dimension is the batch."""
_SHARED = frozenset({"image_rotary_emb", "ofs"})
"""Inputs that all videos of a batch share."""


class SplitDenoiser:
    """Denoiser on two devices; takes the place of its own `forward`. One thread at a time may call it."""

    def __init__(
        self,
        denoiser: torch.nn.Module,
        device: torch.device,
        within: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Copy `denoiser` to the second `device`, weight by weight, and split its calls from now on.

        The copy is called inside the context manager that `within` makes, in another thread.
        """
        self.replica: Any = _copy_to(denoiser, device)
        """The copy, for inspection and compilation."""
        self._forward: Callable[..., Any] = denoiser.forward
        self._device = device
        self._within = within
        self._signature = inspect.signature(denoiser.forward)
        self._thread = OwnThread(f"denoise on {device}")
        self._warm: set[bool] = set()
        self._was_split = False
        self._first: Mapping[str, Any] = {}
        self._second: Mapping[str, Any] | None = None
        self._ahead: tuple[Mapping[str, Any], Callable[[], Any]] | None = None
        denoiser.forward = self._call

    def end_video(self) -> bool:
        """Forget what was learnt of a video's calls, free its tensors, and tell if any call was shared."""
        self._first, self._second = {}, None
        self._drop_ahead()
        was_split, self._was_split = self._was_split, False
        return was_split

    def close(self) -> None:
        """Free the copy; the denoiser cannot be called afterwards."""
        self.end_video()
        self._thread.close()
        self.replica = None

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        inputs: dict[str, Any] = self._signature.bind(*args, **kwargs).arguments
        if inputs["hidden_states"] is self._first.get("hidden_states"):
            return self._second_call(inputs)
        self._drop_ahead()
        self._first = inputs
        if halves := _halves(inputs):
            mine, other = halves
            wait = self._begin(other)
            result = self._forward(**mine)
            return _joined(result, self._take(wait, inputs))
        if self._second is not None:
            guess = {**inputs, **self._second}
            self._ahead = guess, self._begin(guess)
        return self._forward(**inputs)

    def _second_call(self, inputs: Mapping[str, Any]) -> Any:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            guess, wait = ahead
            if guess.keys() == inputs.keys() and all(guess[name] is inputs[name] for name in guess):
                return self._take(wait, inputs)
            wait()
        self._second = {name: value for name, value in inputs.items() if value is not self._first.get(name)}
        return self._forward(**inputs)

    def _begin(self, inputs: Mapping[str, Any]) -> Callable[[], Any]:
        """Begin a call of the copy; the returned function waits for it."""
        inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        with self._shortage_translated():
            # Copied here: a copy waits for the work that was launched before it, and for no later work.
            there = _moved(dict(inputs), self._device)

        def work() -> Any:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)
            with (
                self._within(),
                self._shortage_translated(),
                torch.inference_mode(inference),
                torch.set_grad_enabled(gradients),
            ):
                return self.replica.forward(**there)

        if inference in self._warm:
            return self._thread.begin(work)
        result = self._thread.do(work)  # alone, since both would compile
        self._warm.add(inference)
        return lambda: result

    @contextmanager
    def _shortage_translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not failures.is_out_of_memory(error):
                raise
            # No out-of-memory error, after which the first GPU would be unloaded.
            raise BackendError(
                f"{self._device} ran out of memory while it denoised the second guidance branch.",
                "Make the video smaller, or use `generator.gpus=1`.",
            ) from None

    def _take(self, wait: Callable[[], Any], inputs: Mapping[str, Any]) -> Any:
        self._was_split = True
        return _moved(wait(), inputs["hidden_states"].device)

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            with suppress(Exception):  # nobody wants the result, so its error does not matter
                ahead[1]()


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


def _halves(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Inputs of both branches; None if there is one branch, or an input whose halves are not known."""
    if inputs["hidden_states"].shape[0] != MOST_GPUS or inputs.get("return_dict", True):
        return None
    first, second = dict(inputs), dict(inputs)
    for name, value in inputs.items():
        if name in _SHARED or not _has_tensor(value):
            continue
        if name not in _BATCHED or not isinstance(value, torch.Tensor) or value.shape[:1] != (MOST_GPUS,):
            return None
        first[name], second[name] = value[:1], value[1:]
    return first, second


def _has_tensor(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return any(_has_tensor(part) for part in value)
    return isinstance(value, torch.Tensor)


def _moved(value: Any, device: torch.device) -> Any:
    """Copy of a value whose tensors, also those in tuples, lists and dicts, are on `device`."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple | list):
        return type(value)(_moved(part, device) for part in value)
    if isinstance(value, Mapping):
        return {name: _moved(part, device) for name, part in value.items()}
    return value


def _joined(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
