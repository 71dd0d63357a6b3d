"""Models that share one accelerator: who is on it, and who makes way when there is no room.

A model that works on an accelerator is a *holder*. It does all its work inside

    with residency.on_device(holder, spare_bytes=...):
        ...

which brings its weights to the device and keeps them there until the block is left; afterwards they stay
until somebody needs the room. Who makes way is the least recently used holder that nobody uses. Where all
that could make way are in use, the block waits until they are not; so many runs side by side fall into
phases, one model after the other. Threads that wait their turn for one holder wait *inside* the block (a
lock of the holder's own), so that it stays for them.

This file knows memory and holders, and neither pipelines nor language models.
"""

import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from phyt2v_cli.backends.memory import device

WHOLE_DEVICE = sys.maxsize
"""As `spare_bytes`: every other holder makes way, whatever the memory reading says."""


class Holder(Protocol):
    """Weights that can move between an accelerator and the host. Compared by identity."""

    @property
    def device(self) -> torch.device:
        """Where it works. A holder that works on the CPU shares nothing, and is never moved."""
        ...

    @property
    def num_bytes(self) -> int:
        """What its weights take."""
        ...

    def to_device(self) -> None:
        """Bring the weights to `device`; nothing to do where they are there."""
        ...

    def to_cpu(self) -> None:
        """Take everything off `device`; nothing to do where nothing is there."""
        ...


class Accelerator:
    """The holders on one accelerator. Thread-safe; one holder may be used by several threads at once.

    A thread inside one block must not enter another: it would hold what somebody else may wait for.
    """

    def __init__(self, free_bytes: Callable[[], int], release_cached: Callable[[], None]) -> None:
        """`free_bytes` reads what can still be allocated, `release_cached` hands freed blocks back."""
        self._free_bytes = free_bytes
        self._release_cached = release_cached
        self._changed = threading.Condition()
        # Least recently used first. Holders hash by identity, whatever equality they define.
        self._resident: OrderedDict[int, Holder] = OrderedDict()
        self._num_users: Counter[int] = Counter()
        self._spare_bytes: dict[int, int] = {}

    @contextmanager
    def on_device(self, holder: Holder, *, spare_bytes: int) -> Iterator[None]:
        """Keep `holder` on its device, with `spare_bytes` free for its activations as the block begins.

        Where the room cannot be made it is entered all the same: the estimate may be wrong, and the library
        says best what it lacks. Raises what `holder.to_device` raises; the holder is then off the device.
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
            with self._changed:
                self._num_users[key] -= 1
                if not self._num_users[key]:
                    del self._num_users[key], self._spare_bytes[key]
                self._changed.notify_all()

    def forget(self, holder: Holder) -> None:
        """Take a holder off the device for good, once nobody uses it; unknown holders are ignored."""
        with self._changed:
            while self._num_users[id(holder)]:
                self._changed.wait()
            if id(holder) in self._resident:
                self._send_away(id(holder))

    def _make_room(self, holder: Holder, spare_bytes: int) -> None:
        key = id(holder)
        while not self._has_room(holder, spare_bytes):
            idle = [other for other in self._resident if other != key and not self._num_users[other]]
            if idle:
                self._send_away(idle[0])
            else:
                self._changed.wait()

    def _has_room(self, holder: Holder, spare_bytes: int) -> bool:
        key = id(holder)
        others = [other for other in self._resident if other != key]
        if not others:
            return True
        if spare_bytes == WHOLE_DEVICE:
            return False
        # Who works now may not have allocated its activations yet.
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
    """Keep `holder` on the process's accelerator, as `Accelerator.on_device` does; on a CPU do nothing."""
    return _nothing() if holder.device.type == "cpu" else _cuda.on_device(holder, spare_bytes=spare_bytes)


def forget(holder: Holder) -> None:
    """Take a holder off the process's accelerator for good, as `Accelerator.forget` does."""
    _cuda.forget(holder)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


_cuda = Accelerator(device.free_bytes, lambda: torch.cuda.empty_cache())
