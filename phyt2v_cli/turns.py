"""Turns at a resource that many threads want: a GPU's pipeline, a server that answers so many at a time.

Invariants, which all overlap of runs relies on:

1. At most `num_places` threads are inside `Turns.taken` at once.
2. A thread inside it asks for no second turn, of this resource or of another. So no two wait for each other.
3. Of those that wait, the one of the earliest run is next (`run_rank`), so that results come early; with
   `in_order_of_arrival` the one that came first. Earlier runs end, so nobody waits for ever.
4. A thread whose `cancelled()` is true while it waits leaves with RunInterruptedError, and takes no place.
5. A place is free again however its block ends.
6. Waiting is not working: `waited_s` tells how long the calling thread has waited for turns, or inside
   `waiting`, so that the seconds of a stage can leave it out.

Knows threads only.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from phyt2v_cli.errors import RunInterruptedError

_POLL_S = 0.1
"""Seconds between two checks for cancellation while a thread waits."""

run_rank: ContextVar[int] = ContextVar("run_rank", default=0)
"""Place of the current thread's run among all runs: smaller ranks go first."""

_account = threading.local()


def waited_s() -> float:
    """Seconds that the calling thread has waited for others since it began."""
    return getattr(_account, "seconds", 0.0)


def count_waiting(seconds: float) -> None:
    """Count `seconds` as waiting of the calling thread."""
    _account.seconds = waited_s() + seconds


@contextmanager
def waiting(clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Count the time inside the block, which must hold no other such block, as waiting."""
    began = clock()
    try:
        yield
    finally:
        count_waiting(clock() - began)


class Turns:
    """Places at one resource, given to waiting threads by the rank of their runs."""

    def __init__(self, num_places: int = 1, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._num_places = num_places
        self._clock = clock
        self._changed = threading.Condition()
        self.in_order_of_arrival = False
        """Whether ranks do not count now: runs then end together, and no last one renders alone."""
        self._queue: list[tuple[int, int]] = []
        self._num_come = 0
        self._num_taken = 0
        self._num_done = 0
        self._busy_s = self._waiting_s = 0.0
        self._counted_at = clock()
        self._place_s = 0.0  # seconds of all places since the first turn

    @property
    def num_places(self) -> int:
        """Number of threads that may work at once."""
        return self._num_places

    @property
    def num_waiting(self) -> int:
        """Number of threads that wait for a place now."""
        with self._changed:
            return len(self._queue)

    @property
    def busy_s(self) -> float:
        """Seconds for which places have been taken so far, summed over the places."""
        with self._changed:
            self._count()
            return self._busy_s

    @property
    def waiting_s(self) -> float:
        """Seconds for which threads have waited so far, summed over the threads."""
        with self._changed:
            self._count()
            return self._waiting_s

    def busy_share(self) -> float | None:
        """Share of the places' time since the first turn in which they were taken; None before it."""
        with self._changed:
            self._count()
            return self._busy_s / self._place_s if self._place_s else None

    @property
    def num_done(self) -> int:
        """Number of turns that have ended."""
        with self._changed:
            return self._num_done

    def resize(self, num_places: int) -> None:
        """Change the number of places; threads that are inside stay."""
        with self._changed:
            self._count()
            self._num_places = num_places
            self._changed.notify_all()

    @contextmanager
    def taken(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Take a place inside the block; wait for it first, unless `cancelled()` becomes true."""
        with waiting(self._clock):
            self._take(cancelled)
        try:
            yield
        finally:
            with self._changed:
                self._count()
                self._num_taken -= 1
                self._num_done += 1
                self._changed.notify_all()

    def _take(self, cancelled: Callable[[], bool]) -> None:
        with self._changed:
            self._count()
            self._num_come += 1
            mine = (run_rank.get(), self._num_come)
            self._queue.append(mine)
            try:
                while self._next() != mine or self._num_taken >= self._num_places:
                    self._changed.wait(_POLL_S)
                    if cancelled():
                        raise RunInterruptedError("The run was stopped while it waited for its turn.")
                self._count()
                self._num_taken += 1
            finally:
                self._count()
                self._queue.remove(mine)
                self._changed.notify_all()

    def _next(self) -> tuple[int, int]:
        return min(self._queue, key=lambda one: (0, one[1]) if self.in_order_of_arrival else one)

    def _count(self) -> None:
        now = self._clock()
        self._busy_s += self._num_taken * (now - self._counted_at)
        if self._num_taken or self._busy_s:
            self._place_s += self._num_places * (now - self._counted_at)
        self._waiting_s += len(self._queue) * (now - self._counted_at)
        self._counted_at = now
