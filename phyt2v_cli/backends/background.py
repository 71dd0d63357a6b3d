"""Work in background threads, which take turns for the run that began them.

Knows threads and turns; must not know what the work is.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from threading import RLock, Thread
from typing import TypeVar
from weakref import WeakSet

from phyt2v_cli import turns

_Result = TypeVar("_Result")

Span = Callable[[str], AbstractContextManager[None]]
"""Context manager around a named piece of work, for example to record it in a trace."""

_begun: WeakSet[Thread] = WeakSet()

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
    begun_at, waited = time.monotonic(), 0.0

    def run() -> None:
        nonlocal waited
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
        turns.count_waiting(max(0.0, begun_at + waited - asked_at))
        return result

    thread = Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
    _begun.add(thread)
    thread.start()
    return wait


def is_at_work() -> bool:
    """Check if any prefetched work of this process is still running."""
    return any(thread.is_alive() for thread in _begun)
