"""Compile the repeated blocks of a denoiser once, for all rounds, prompts and step counts.

Only the blocks: they are nearly all of the work, and one graph serves every block of a kind, so compiling
takes seconds instead of minutes. This file knows modules; it must not know prompts, rounds or memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import FunctionType, MethodType
from typing import Any

import torch

PAYS_FROM = 5e16
"""Planned multiplications and additions in linear layers from which compiling pays for itself.

On one H200 with CogVideoX-5B compiling cost 19 s and saved 0.4 s of each step of 3.7e14, so it paid from
about 50 steps. This asks for 137 of them, so that nobody waits for a compiler to win a few seconds; a
slower card compiles no slower and saves more."""


_are_interrupted: ContextVar[bool] = ContextVar("_are_interrupted", default=False)


def compile_blocks(pipeline: Any) -> None:
    """Let the blocks of the denoisers be compiled when they first run."""
    copies: dict[FunctionType, FunctionType] = {}
    for block in repeated_blocks(pipeline):
        function: Any = type(block).forward
        copy = copies.setdefault(function, _with_code_of_its_own(function))
        # Its `forward`, not the block, so that what hooks a block stays outside of the graph. No full graph,
        # because the cache of a draft steps in at the attention.
        block.forward = _choose_between(torch.compile(block.forward), torch.compile(MethodType(copy, block)))


@contextmanager
def interrupted_graphs() -> Iterator[None]:
    """Let compiled blocks use graphs of their own while something inside of them runs as plain Python.

    At such a call a graph ends, and torch does not check before it takes the graph again whether the call is
    still there; so blocks without it would be run in pieces too, and the missing piece be compiled.
    """
    token = _are_interrupted.set(True)
    try:
        yield
    finally:
        _are_interrupted.reset(token)


def pays(pipeline: Any, *, num_tokens: int, num_steps: int) -> bool:
    """Return whether compiling is worth its time for `num_steps` steps over `num_tokens` latent tokens."""
    parameters = sum(p.numel() for block in repeated_blocks(pipeline) for p in block.parameters())
    return 2 * parameters * num_tokens * num_steps >= PAYS_FROM


def _choose_between(whole: Callable[..., Any], interrupted: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(whole)
    def forward(*args: Any, **kwargs: Any) -> Any:
        return (interrupted if _are_interrupted.get() else whole)(*args, **kwargs)

    return forward


def _with_code_of_its_own(function: FunctionType) -> FunctionType:
    """Return a copy whose graphs are kept apart: torch keeps them with the code object."""
    code = function.__code__.replace(co_name=f"{function.__name__}_interrupted")
    copy = FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def repeated_blocks(pipeline: Any) -> list[torch.nn.Module]:
    """Return the entries of each list of a denoiser in which a class repeats."""
    blocks: list[torch.nn.Module] = []
    for name in ("transformer", "transformer_2", "unet"):
        denoiser = getattr(pipeline, name, None)
        for child in denoiser.children() if denoiser is not None else ():
            if isinstance(child, torch.nn.ModuleList) and len(child) > 1 and _has_attention(child[0]):
                blocks += list(child)
    return blocks


def _has_attention(block: torch.nn.Module) -> bool:
    return any("attn" in name or "attention" in name for name, _ in block.named_children())
