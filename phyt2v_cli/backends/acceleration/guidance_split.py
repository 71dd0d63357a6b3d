"""Guidance split: one video on two GPUs, each of which computes one guidance branch of every step.

Classifier-free guidance asks the denoiser twice in each step, with the prompt and without it. A pipeline does
that in one call with both branches in a batch, or in two calls. The denoiser has a copy on the second GPU:

- Of a batch each GPU gets a half.
- Of two calls the second is computed ahead: its inputs are those of the first, but for some that are the same
  in all steps. What was computed is used only if the second call comes with the very tensors that were
  guessed, so a wrong guess costs time and changes nothing.

A family must not change the denoiser itself between its calls, nor those tensors in place: the caller knows
which do not. This file knows a denoiser's call; it must not know families, prompts or memory.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from phyt2v_cli.backends.acceleration.replicas import Replica, moved

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
        replica: Replica,
    ) -> None:
        """Split the calls of `denoiser` between it and its `replica` from now on."""
        self._replica = replica
        self._forward: Callable[..., Any] = denoiser.forward
        self._signature = inspect.signature(partial(type(denoiser).forward, denoiser))
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
        self._replica.close()

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
        wait = self._replica.begin(inputs)
        inference = torch.is_inference_mode_enabled()
        if inference in self._warm:
            return wait
        result = wait()  # alone, since both would compile
        self._warm.add(inference)
        return lambda: result

    def _take(self, wait: Callable[[], Any], inputs: Mapping[str, Any]) -> Any:
        self._was_split = True
        return moved(wait(), inputs["hidden_states"].device)

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            with suppress(Exception):  # nobody wants the result, so its error does not matter
                ahead[1]()


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


def _joined(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
