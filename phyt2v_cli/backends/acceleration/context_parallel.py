"""Context parallelism: one call of a denoiser on several GPUs, each of which has a part of its tokens.

Where the tokens are split and gathered is a plan: diffusers' own if the denoiser has one, else one of those
below. This file knows denoisers' modules; it must not know prompts, guidance or memory.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch

from phyt2v_cli.backends.acceleration.replicas import Replica, Within
from phyt2v_cli.backends.acceleration.token_exchange import Attend, Meeting, member


class Split(NamedTuple):
    """Input or output that is split by tokens."""

    module: str
    """Name in the denoiser; empty for itself. An asterisk stands for every entry of a list."""
    name: str | int
    """Name of an input, or number of an output."""
    dim: int
    num_dims: int | None = None
    """Dimensions of what is split; another tensor is left whole."""


class Plan(NamedTuple):
    """How the tokens of a denoiser are split, and where they are gathered."""

    splits: Sequence[Split]
    gathered: str
    """Module whose output is gathered along its second dimension."""


_BLOCKS, _VIDEO, _TEXT = "transformer_blocks", "hidden_states", "encoder_hidden_states"
_PLANS = {
    # The text is split as well, because its tokens are attended to together with the video's.
    "CogVideoXTransformer3DModel": Plan(
        (
            Split(f"{_BLOCKS}.0", _VIDEO, 1),
            Split(f"{_BLOCKS}.0", _TEXT, 1),
            Split(f"{_BLOCKS}.*", "image_rotary_emb", 0),
        ),
        "proj_out",
    ),
    **dict.fromkeys(
        ("HunyuanVideoTransformer3DModel", "HunyuanVideo15Transformer3DModel"),
        Plan(
            (
                Split("rope", 0, 0),
                Split("rope", 1, 0),
                Split(f"{_BLOCKS}.0", _VIDEO, 1),
                Split(f"{_BLOCKS}.0", _TEXT, 1),
            ),
            "proj_out",
        ),
    ),
}


def plan_of(denoiser: torch.nn.Module) -> Plan:
    """Plan of a denoiser. Raises KeyError if there is none."""
    if own := getattr(denoiser, "_cp_plan", None):
        return _of_diffusers(own)
    return _PLANS[type(denoiser).__name__]


def _of_diffusers(plan: Mapping[str, Any]) -> Plan:
    """Plan that diffusers has for a denoiser, but with the whole text on every GPU."""
    splits, gathered = [], ""
    for module, entries in plan.items():
        if not isinstance(entries, Mapping):
            gathered = module
            continue
        splits += [
            Split(module, name, entry.split_dim, entry.expected_dims)
            for name, entry in entries.items()
            if not str(name).startswith("encoder_")
        ]
    per_token = Split("", "timestep", 1, 2)  # a timestep for each token, which some plans leave out
    return Plan([*splits, *({per_token} - set(splits))], gathered)


class ContextParallelDenoiser:
    """Denoiser on several devices; takes the place of its own `forward`. One thread at a time may call it."""

    def __init__(
        self,
        denoiser: torch.nn.Module,
        devices: Sequence[torch.device],
        *,
        num_tokens: int,
        attend: Attend,
        within: Within,
    ) -> None:
        """Copy `denoiser` to the other `devices`, and split its calls of `num_tokens` tokens from now on.

        `attend` computes attention; copies are called inside the context manager that `within` makes. Raises
        KeyError if there is no plan, and ConfigError if the weights cannot be copied.
        """
        self.replicas = [Replica(denoiser, one, "its part of the tokens", within) for one in devices]
        """The copies, for inspection and compilation."""
        self._forward: Callable[..., Any] = denoiser.forward
        self._signature = inspect.signature(denoiser.forward)
        self._attend = attend
        self._size = 1 + len(devices)
        self._plan = plan_of(denoiser)
        self._part_sizes = {len(part) for part in torch.arange(num_tokens).tensor_split(self._size)}
        self._warm: set[bool] = set()
        self._was_split = False
        for module in (denoiser, *(replica.module for replica in self.replicas)):
            _install(self._plan, module)
        denoiser.forward = self._call

    def end_video(self) -> bool:
        """Tell if any call of the video was shared."""
        was_split, self._was_split = self._was_split, False
        return was_split

    def close(self) -> None:
        """Free the copies; the denoiser cannot be called afterwards."""
        for replica in self.replicas:
            replica.close()

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        inputs: dict[str, Any] = self._signature.bind(*args, **kwargs).arguments
        if 0 in self._part_sizes or (not self._splits_text() and self._has_text_of_a_part(inputs)):
            return self._forward(**inputs)
        self._was_split = True
        inference = torch.is_inference_mode_enabled()
        # At first one at a time, since all would compile, which torch cannot do in two threads.
        meeting = Meeting(self._size, self._attend, one_at_a_time=inference not in self._warm)
        results: list[Any] = []
        errors: list[BaseException] = []
        waits = []
        try:
            for rank, replica in enumerate(self.replicas, 1):
                waits.append(replica.begin(self._part(inputs, rank), partial(self._joined, meeting, rank)))
            with self._joined(meeting, 0):
                results.append(self._forward(**self._part(inputs, 0)))
        except BaseException as error:
            meeting.abort()
            errors.append(error)
        for wait in waits:
            try:
                wait()
            except BaseException as error:
                errors.append(error)
        if errors:
            # The others only tell that one of them failed.
            raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))
        self._warm.add(inference)
        return results[0]

    @contextmanager
    def _joined(self, meeting: Meeting, rank: int) -> Iterator[None]:
        with meeting.joined(rank) as mine:
            if any(not split.module and split.name == _VIDEO for split in self._plan.splits):
                mine.begin_sharing()
            yield

    def _has_text_of_a_part(self, inputs: Mapping[str, Any]) -> bool:
        """Check if a text or picture has as many tokens as a part, so that it would be taken for one."""
        texts = (value for name, value in inputs.items() if name.startswith(_TEXT))
        return any(text is not None and text.shape[1] in self._part_sizes for text in texts)

    def _splits_text(self) -> bool:
        return any(split.name == _TEXT for split in self._plan.splits)

    def _part(self, inputs: Mapping[str, Any], rank: int) -> dict[str, Any]:
        """Inputs of one device's call."""
        return {
            **inputs,
            **{
                str(split.name): inputs[str(split.name)].tensor_split(self._size, split.dim)[rank]
                for split in self._plan.splits
                if not split.module and _is_meant(split, inputs.get(str(split.name)))
            },
        }


def _install(plan: Plan, denoiser: torch.nn.Module) -> None:
    """Install the hooks that split and gather; outside of a shared call they do nothing."""
    for split in plan.splits:
        if not split.module:
            continue
        parent, _, last = split.module.rpartition(".")
        is_list = last == "*"
        found = denoiser.get_submodule(parent if is_list else split.module)
        for module in found.children() if is_list else (found,):
            if isinstance(split.name, int):
                module.register_forward_hook(partial(_split_output, split))
            else:
                signature = inspect.signature(module.forward)
                module.register_forward_pre_hook(partial(_split_input, split, signature), with_kwargs=True)
    denoiser.get_submodule(plan.gathered).register_forward_hook(_gather)


def _is_meant(split: Split, value: Any) -> bool:
    return value is not None and split.num_dims in (None, getattr(value, "ndim", None))


def _split_input(
    split: Split, signature: inspect.Signature, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    mine = member()
    bound = signature.bind(*args, **kwargs)
    value: Any = bound.arguments.get(str(split.name))
    if mine is None or not _is_meant(split, value):
        return args, kwargs
    if split.name == _VIDEO:
        mine.begin_sharing()
    bound.arguments[str(split.name)] = (
        tuple(mine.part(one, split.dim) for one in value)
        if isinstance(value, tuple)
        else mine.part(value, split.dim)
    )
    return bound.args, bound.kwargs


def _split_output(split: Split, _: Any, __: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
    mine = member()
    return tuple(
        mine.part(one, split.dim) if mine and number == split.name and _is_meant(split, one) else one
        for number, one in enumerate(output)
    )


def _gather(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
    mine = member()
    if mine is None:
        return output
    mine.end_sharing()
    parts = mine.exchange(output)
    return torch.cat([part.to(output.device, non_blocking=True) for part in parts], 1)
