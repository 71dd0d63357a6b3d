"""One private event loop for all requests of this process, in a thread of its own.

So a role can be asked from a notebook, whose thread runs an event loop already, and from many threads at
once; no thread of the host is given a loop, or loses its own. Knows no request.

Not a portal of anyio: one that stays open keeps the interpreter from ending, since what closes it at the very
end waits for a thread that may not run any more.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_turn = threading.Lock()


def wait_for(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` in the private loop, and wait for what it returns or raises.

    If this thread is interrupted meanwhile, as by Ctrl-C, `work` is cancelled and not waited for.
    """
    with _turn:
        loop = _loop_of(os.getpid())
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    finally:
        future.cancel()  # without effect on what is done


@cache
def _loop_of(_process: int) -> asyncio.AbstractEventLoop:
    """The loop of a process, made on first use: a forked one has no thread that runs its parent's."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="phyt2v requests", daemon=True).start()
    return loop
