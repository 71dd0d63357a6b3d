"""Residency of models on a shared accelerator: an LRU cache of weights on the device.

A model that uses device memory is a *holder*. It does all its work inside

    with residency.on_device(holder, spare_bytes=...):
        ...

The block moves the holder's weights to the device and keeps them there until it is left. Afterwards they stay
until another holder needs the memory: then the least recently used idle holder is evicted. If all other
holders are in use, the block waits until one is idle. So many runs side by side fall into phases, one model
after the other. Threads that wait for a holder's own lock wait *inside* the block, or in `claimed`, so that
it is not evicted in between.

This file knows memory and holders; it must not know pipelines or language models.
"""

import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from phyt2v_cli.backends.memory import device
from phyt2v_cli.turns import waiting

WHOLE_DEVICE = sys.maxsize
"""Value of `spare_bytes` that evicts every other holder, whatever the free memory."""


class Holder(Protocol):
    """Weights that can move between an accelerator and the host. Compared by identity."""

    @property
    def device(self) -> torch.device:
        """Device on which it computes. A holder on the CPU shares nothing, and is never moved."""
        ...

    @property
    def num_bytes(self) -> int:
        """Device memory of its weights, in bytes."""
        ...

    def to_device(self) -> None:
        """Move the weights to `device`; do nothing if they are there."""
        ...

    def to_cpu(self) -> None:
        """Move all weights off `device`; do nothing if none are there."""
        ...


class Accelerator:
    """Residency of holders on one accelerator. Thread-safe; several threads may use one holder at once.

    A thread inside one block must not enter another: two such threads could deadlock.
    """

    def __init__(self, free_bytes: Callable[[], int], release_cached: Callable[[], None]) -> None:
        """`free_bytes` reads the allocatable bytes; `release_cached` returns cached memory to the device."""
        self._free_bytes = free_bytes
        self._release_cached = release_cached
        self._changed = threading.Condition()
        # Least recently used first. Holders hash by identity, whatever equality they define.
        self._resident: OrderedDict[int, Holder] = OrderedDict()
        self._num_users: Counter[int] = Counter()
        self._spare_bytes: dict[int, int] = {}

    @contextmanager
    def on_device(self, holder: Holder, *, spare_bytes: int) -> Iterator[None]:
        """Keep `holder` on its device, with `spare_bytes` free for its activations when the block begins.

        Waits while other holders are in use and memory is short. If memory is short with no other holder on
        the device, the block is entered anyway: the estimate may be wrong, and the library reports a real
        shortage best. Raises what `holder.to_device` raises; the holder is then moved to the CPU.
        """
        key = id(holder)
        with self._changed:
            self._make_room(holder, spare_bytes)
            self._bring(holder)
            self._num_users[key] += 1
            self._spare_bytes[key] = max(spare_bytes, self._spare_bytes.get(key, 0))
        try:
            yield
        finally:
            self._leave(holder)

    @contextmanager
    def claimed(self, holder: Holder) -> Iterator[None]:
        """Keep a resident `holder` from being evicted inside the block, which need not be one of its users.

        The caller waits in it for its turn, and must not wait for a user of another holder.
        """
        with self._changed:
            self._num_users[id(holder)] += 1
        try:
            yield
        finally:
            self._leave(holder)

    def forget(self, holder: Holder) -> None:
        """Wait until a holder is idle, then evict it; a holder that is not on the device is ignored."""
        with self._changed:
            while self._num_users[id(holder)]:
                self._changed.wait()
            if id(holder) in self._resident:
                self._send_away(id(holder))

    def _leave(self, holder: Holder) -> None:
        key = id(holder)
        with self._changed:
            self._num_users[key] -= 1
            if not self._num_users[key]:
                del self._num_users[key]
                self._spare_bytes.pop(key, None)
            self._changed.notify_all()

    def _make_room(self, holder: Holder, spare_bytes: int) -> None:
        key = id(holder)
        while not self._has_room(holder, spare_bytes):
            idle = [other for other in self._resident if other != key and not self._num_users[other]]
            if idle:
                self._send_away(idle[0])
            else:
                with waiting():
                    self._changed.wait()

    def _has_room(self, holder: Holder, spare_bytes: int) -> bool:
        key = id(holder)
        others = [other for other in self._resident if other != key]
        if not others:
            return True
        if spare_bytes == WHOLE_DEVICE:
            return False
        # Holders in use may not have allocated their activations yet.
        promised = sum(self._spare_bytes.get(other, 0) for other in others)
        missing = 0 if key in self._resident else holder.num_bytes
        return self._free_bytes() >= missing + spare_bytes + promised

    def _bring(self, holder: Holder) -> None:
        try:
            holder.to_device()
        except BaseException:
            self._resident.pop(id(holder), None)
            holder.to_cpu()
            self._release_cached()
            self._changed.notify_all()
            raise
        self._resident[id(holder)] = holder
        self._resident.move_to_end(id(holder))

    def _send_away(self, key: int) -> None:
        self._resident.pop(key).to_cpu()
        self._release_cached()


def on_device(holder: Holder, *, spare_bytes: int) -> AbstractContextManager[None]:
    """Keep `holder` on this process's accelerator, as `Accelerator.on_device` does; do nothing on a CPU."""
    return _nothing() if holder.device.type == "cpu" else _cuda.on_device(holder, spare_bytes=spare_bytes)


def claimed(holder: Holder) -> AbstractContextManager[None]:
    """Keep a holder from being evicted, as `Accelerator.claimed` does; do nothing on a CPU."""
    return _nothing() if holder.device.type == "cpu" else _cuda.claimed(holder)


def forget(holder: Holder) -> None:
    """Evict a holder from this process's accelerator, as `Accelerator.forget` does."""
    _cuda.forget(holder)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


_cuda = Accelerator(device.free_bytes, lambda: torch.cuda.empty_cache())
