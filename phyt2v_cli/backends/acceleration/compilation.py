"""Compilation (torch.compile) of a denoiser's repeated blocks, once for all rounds, prompts and step counts.

Only the blocks are compiled: they are nearly all of the work, and one graph serves every block of a class.
So compiling takes seconds instead of minutes. This file knows modules; it must not know prompts, rounds or
memory.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import FunctionType, MethodType
from typing import Any

import torch

PAYS_FROM = 5e16
"""Break-even point of compiling, in planned multiplications and additions of linear layers.

On one H200 with CogVideoX-5B compiling cost 19 s and saved 0.4 s of each step of 3.7e14, so it paid from
about 50 steps. This value asks for 137 of them, so that nobody waits for a compiler to win a few seconds. A
slower card compiles no slower and saves more."""


_are_interrupted: ContextVar[bool] = ContextVar("_are_interrupted", default=False)


def compile_blocks(denoisers: Iterable[torch.nn.Module]) -> None:
    """Set up the blocks of the denoisers to be compiled on their first call."""
    copies: dict[FunctionType, FunctionType] = {}
    for block in repeated_blocks(denoisers):
        function: Any = type(block).forward
        copy = copies.setdefault(function, _with_code_of_its_own(function))
        # Its `forward` and not the block, so that hooks on the block stay outside of the graph. Not
        # `fullgraph`, because a draft cache may interrupt the graph at the attention.
        block.forward = _choose_between(torch.compile(block.forward), torch.compile(MethodType(copy, block)))


@contextmanager
def interrupted_graphs() -> Iterator[None]:
    """Use separate compiled graphs inside this context, in which part of a block runs as plain Python.

    A call to plain Python breaks a graph. torch does not check that the call is still there before it reuses
    the graph. With shared graphs, blocks without the call would also run in pieces, and the missing piece
    would be compiled.
    """
    token = _are_interrupted.set(True)
    try:
        yield
    finally:
        _are_interrupted.reset(token)


def pays(pipeline: Any, *, num_tokens: int, num_steps: int) -> bool:
    """Check if compiling pays for `num_steps` denoising steps over `num_tokens` latent tokens."""
    blocks = repeated_blocks(denoisers_of(pipeline))
    parameters = sum(p.numel() for block in blocks for p in block.parameters())
    return 2 * parameters * num_tokens * num_steps >= PAYS_FROM


def _choose_between(whole: Callable[..., Any], interrupted: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(whole)
    def forward(*args: Any, **kwargs: Any) -> Any:
        chosen = interrupted if _are_interrupted.get() else whole
        return chosen(*map(_laid_out, args), **{name: _laid_out(value) for name, value in kwargs.items()})

    return forward


def _laid_out(value: Any) -> Any:
    """Tensor with the strides of a contiguous one, also along dimensions of size 1; other values as they are.

    The first block of a denoiser may be given part of a larger tensor. Strides belong to a graph, so that one
    block would have its own, which takes as long to compile as that of all the others.
    """
    return value.flatten().view(value.shape) if isinstance(value, torch.Tensor) else value


def _with_code_of_its_own(function: FunctionType) -> FunctionType:
    """Copy a function so that it has its own compiled graphs, which torch stores by code object."""
    code = function.__code__.replace(co_name=f"{function.__name__}_interrupted")
    copy = FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def denoisers_of(pipeline: Any) -> list[torch.nn.Module]:
    """Denoisers of a pipeline: one, or two of which each does a part of the steps."""
    parts = [getattr(pipeline, name, None) for name in ("transformer", "transformer_2", "unet")]
    return [part for part in parts if part is not None]


def repeated_blocks(denoisers: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """Transformer blocks of the denoisers: entries of each `ModuleList` of at least two attention blocks."""
    blocks: list[torch.nn.Module] = []
    for denoiser in denoisers:
        for child in denoiser.children():
            if isinstance(child, torch.nn.ModuleList) and len(child) > 1 and _has_attention(child[0]):
                blocks += list(child)
    return blocks


def _has_attention(block: torch.nn.Module) -> bool:
    return any("attn" in name or "attention" in name for name, _ in block.named_children())
