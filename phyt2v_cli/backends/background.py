"""Work in other threads, which take turns for the run that asked for it.

Knows threads and turns; must not know what the work is.
"""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from threading import Lock, RLock, Thread
from typing import TypeVar
from weakref import WeakSet

from phyt2v_cli import turns

_Result = TypeVar("_Result")

Span = Callable[[str], AbstractContextManager[None]]
"""Context manager around a named piece of work, for example to record it in a trace."""

_begun: WeakSet[Thread] = WeakSet()
_own_threads: "WeakSet[OwnThread]" = WeakSet()

model_load_turn = RLock()
"""Held by the one thread that loads a model. Libraries patch torch while they load, and two that load at once
leave patches behind: every later tensor of the process then has no memory."""


def no_span(_: str) -> AbstractContextManager[None]:
    """Span that records nothing."""
    return nullcontext()


def begin(work: Callable[[], _Result], *, name: str, span: Span = no_span) -> Callable[[], _Result]:
    """Start `work` in a background thread called `name`, inside `span`.

    The returned function waits for the result of `work` and returns or raises it. `work` takes turns with
    the rank of the caller's run; if the caller waits for work that waits for its turn, that is waiting too.
    The thread is a daemon: the process does not wait for it at exit.
    """
    future: Future[_Result] = Future()
    begun_at = waited = 0.0

    def run() -> None:
        nonlocal begun_at, waited
        begun_at = time.monotonic()  # a busy machine starts threads late
        try:
            with span(name):
                result = work()
            waited = turns.waited_s()
            future.set_result(result)
        except BaseException as error:
            future.set_exception(error)

    def wait() -> _Result:
        asked_at = time.monotonic()
        result = future.result()
        # Work waits before it begins, so what it has waited since it was asked for is the end of that.
        turns.count_waiting(max(0.0, min(waited, begun_at + waited - asked_at)))
        return result

    thread = Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
    _begun.add(thread)
    thread.start()
    return wait


class OwnThread:
    """One thread that does one kind of work for all threads, one piece after another.

    Libraries keep something for each thread that calls them: pools of workers, arenas of memory, handles of a
    GPU. If many runs render in a thread each, that exists as often, and renders are slower.
    """

    def __init__(self, name: str) -> None:
        """Make the thread `name`, a daemon; it starts with the first piece of work."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = Thread(target=_do_all, args=(self._work,), name=name, daemon=True)
        self._start_turn = Lock()
        self._is_closed = False
        self._num_asked = self._num_done = 0
        _own_threads.add(self)

    @property
    def is_at_work(self) -> bool:
        """Whether some work is not done yet."""
        return self._num_done < self._num_asked

    def begin(self, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Do `work` in the thread; the returned function waits once, and returns or raises what it does.

        What `work` waits for turns counts as waiting of the thread that calls that function. Raises
        RuntimeError if the thread is closed.
        """
        future: Future[_Result] = Future()
        waited = 0.0

        def run() -> None:
            nonlocal waited
            before = turns.waited_s()
            try:
                result = work()
            except BaseException as error:
                waited = turns.waited_s() - before
                self._num_done += 1
                future.set_exception(error)
            else:
                waited = turns.waited_s() - before
                self._num_done += 1
                future.set_result(result)

        def wait() -> _Result:
            nonlocal future
            try:
                return future.result()
            finally:
                turns.count_waiting(waited)
                del future  # an error holds this frame, which must not hold the error

        with self._start_turn:
            if self._is_closed:
                raise RuntimeError(f"the thread {self._thread.name!r} is closed")
            if self._thread.ident is None:
                self._thread.start()
            self._num_asked += 1
            self._work.put(partial(copy_context().run, run))
        return wait

    def do(self, work: Callable[[], _Result]) -> _Result:
        """Do `work` in the thread, and wait for it."""
        return self.begin(work)()

    def close(self) -> None:
        """End the thread once its work is done; no more is taken, and a second close does nothing."""
        with self._start_turn:
            self._is_closed = True
            self._work.put(None)


def _do_all(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (piece := work.get()) is not None:
        piece()
        del piece  # which holds tensors


def is_at_work() -> bool:
    """Check if any prefetched work of this process is still running."""
    return any(thread.is_alive() for thread in _begun) or any(own.is_at_work for own in _own_threads)
