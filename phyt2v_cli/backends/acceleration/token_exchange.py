"""Attention over tokens that several GPUs share, by heads: each computes all tokens of some heads.

The tokens of a video are split over the GPUs, and everything but attention treats each token by itself.
Before attention each GPU gives away its tokens of the other GPUs' heads and gets theirs of its own heads;
after it they give them back. Source: DeepSpeed Ulysses, arXiv 2309.14509. Attention without a mask does not
depend on the order of the keys, so a text may be split too.

Each GPU has a thread, and the threads meet before each exchange. This file knows tensors; it must not know
denoisers, families or prompts.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from phyt2v_cli.errors import BackendError

Attend = Callable[..., torch.Tensor]
"""Attention to query, key and value of shape (batch, heads, tokens, width), with a `scale` and no mask."""


class Member:
    """One of several threads that share the tokens of one call."""

    def __init__(self, meeting: "Meeting", rank: int) -> None:
        self.rank = rank
        self._meeting = meeting
        self._turn = 0
        self._stack = ExitStack()

    def part(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        """This member's part of a tensor that is split along `dim`."""
        return tensor.tensor_split(self._meeting.size, dim)[self.rank]

    def begin_sharing(self) -> None:
        """Attend to the tokens of all members from now on: this thread has a part of them."""
        self._stack.enter_context(_AttentionToAll())

    def end_sharing(self) -> None:
        """Attend as usual again; nothing happens if it was never begun."""
        self._stack.close()

    def exchange(self, value: Any) -> list[Any]:
        """Give a value to all members, and return those of all.

        What was copied from them must be launched before the next exchange: the tensors may be freed after
        that.
        """
        self._turn = 1 - self._turn
        return self._meeting.exchange(self.rank, self._turn, value)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
    ) -> torch.Tensor:
        """Attend to the tokens of all members; tensors have the shape (batch, heads, tokens, width).

        What goes to another GPU has its tokens first, so that it is one piece of memory there too: other
        copies between GPUs are several times slower.
        """
        size = self._meeting.size
        heads = [tensor.permute(2, 0, 1, 3).tensor_split(size, 2) for tensor in (query, key, value)]
        given = self.exchange([torch.stack(parts, 1) for parts in zip(*heads, strict=True)])
        of_my_heads = [parts[self.rank] for parts in given]
        lengths = [len(part) for part in of_my_heads]
        whole = query.new_empty(sum(lengths), *of_my_heads[0].shape[1:])
        for place, part in zip(torch.split(whole, lengths), of_my_heads, strict=True):
            place.copy_(part, non_blocking=True)
        made = self._meeting.attend(*whole.permute(1, 2, 3, 0, 4), scale=scale)
        back = self.exchange([part.contiguous() for part in torch.split(made.permute(2, 0, 1, 3), lengths)])
        of_my_tokens = [parts[self.rank].to(query.device, non_blocking=True) for parts in back]
        return torch.cat(of_my_tokens, 2).permute(1, 2, 0, 3)


class Meeting:
    """Meeting of the threads of one call."""

    def __init__(self, size: int, attend: Attend, *, one_at_a_time: bool) -> None:
        """Let `size` threads meet; `one_at_a_time` lets one of them work until it waits for the others."""
        self.size = size
        self.attend = attend
        self._barrier = threading.Barrier(size)
        # Two, used in turn: who writes a value for the second time has met those who read the first one.
        self._values: list[list[Any]] = [[None] * size, [None] * size]
        self._at_work = threading.Semaphore(1 if one_at_a_time else size)

    @contextmanager
    def joined(self, rank: int) -> Iterator[Member]:
        """Take part in this thread; if that fails, the others raise BrokenBarrierError where they wait."""
        with self._at_work:
            _here.member = mine = Member(self, rank)
            try:
                yield mine
            except BaseException:
                self.abort()
                raise
            finally:
                mine.end_sharing()
                _here.member = None

    def abort(self) -> None:
        """Let nobody wait any more."""
        self._barrier.abort()

    def exchange(self, rank: int, turn: int, value: Any) -> list[Any]:
        """Give a value to all members, and return those of all; `turn` is 0 and 1 alternately."""
        self._values[turn][rank] = value
        self._at_work.release()
        try:
            self._barrier.wait()
        finally:
            self._at_work.acquire()
        return list(self._values[turn])


def member() -> Member | None:
    """Part of the current thread in a call that is shared; None if there is none."""
    found: Member | None = getattr(_here, "member", None)
    return found


class _AttentionToAll(TorchFunctionMode):
    """Mode of the current thread in which self-attention is to the tokens of all members.

    Self-attention is known by as many keys as queries; a text has another number of tokens.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return _attended(*args, **kwargs)
        return func(*args, **kwargs)


def _attended(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    if query.shape[2] != key.shape[2]:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if attn_mask is not None or dropout_p or is_causal or query.shape[:2] != key.shape[:2]:
        raise BackendError(
            "The tokens of this model cannot be shared: its attention has a mask, dropout or grouped heads.",
            "Use `generator.gpus=1`.",
        )
    attended: torch.Tensor = torch.ops.phyt2v.attention_to_all(query, key, value, scale)
    return attended


_here = threading.local()


@torch.library.custom_op("phyt2v::attention_to_all", mutates_args=())
def _attention_to_all(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Attend to the tokens of all members, in torch's order of dimensions."""
    taking_part = member()
    assert taking_part is not None, "only the mode above calls this"
    # Modes are on in compiled code, and would bring this attention here again.
    with torch._C.DisableTorchFunction():
        return taking_part.attend(query, key, value, scale)


@_attention_to_all.register_fake
def _(query: torch.Tensor, *_: object) -> torch.Tensor:
    batch, heads, tokens, width = query.shape
    return query.new_empty(tokens, batch, heads, width).permute(1, 2, 0, 3)
