"""Private event loop for all requests of this process, in a background thread.

With it a role can be called from many threads at once, and from a notebook, whose thread already runs an
event loop. No thread of the host gets a loop or loses its own. This file must not know requests.

It is not a portal of anyio: an open portal keeps the interpreter from ending, since closing it at exit waits
for a thread that may not run any more.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from functools import cache
from typing import Any, TypeVar

from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.roles import Cancelled

_Result = TypeVar("_Result")
_turn = threading.Lock()
_POLL_S = 0.1


def wait_for(
    work: Coroutine[Any, Any, _Result], cancelled: Cancelled | None = None, *, grace_s: float = 0.0
) -> _Result:
    """Run `work` in the private loop and wait; return its result or raise its exception.

    If this thread is interrupted, for example by Ctrl-C, `work` is cancelled and not waited for. Raises
    RunInterruptedError if `work` is not done `grace_s` seconds after `cancelled()` became true.
    """
    with _turn:
        loop = _loop_of(os.getpid())
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        while cancelled is not None and not future.done():
            wait([future], _POLL_S)
            if cancelled():
                wait([future], grace_s)
                if not future.done():
                    raise RunInterruptedError("The request was stopped.")
                break
        return future.result()
    finally:
        future.cancel()  # without effect if it is done


@cache
def _loop_of(_process: int) -> asyncio.AbstractEventLoop:
    """Event loop of a process, made on first use. A fork does not inherit the thread of its parent's loop."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="phyt2v requests", daemon=True).start()
    return loop
