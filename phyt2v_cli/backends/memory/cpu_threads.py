"""Threads of torch on a CPU, and how they wait for each other. Must not know any model."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_DIVIDED = 2**20
"""Elements of a tensor that torch adds to in all of its threads."""


@contextmanager
def asleep_while_waiting(device: torch.device) -> Iterator[None]:
    """Let torch's threads sleep inside the block while they wait, not spin; for work on a CPU only.

    GNU's OpenMP, which torch uses on Linux, spins while a thread waits, unless the process has more threads
    than there are cores. On two busy cores a video of the embedded model then took 4 times the CPU time and
    the wall time. A second pool of threads, which only waits, makes it sleep. Unlike OMP_WAIT_POLICY, which
    is read when torch is imported, it is gone after the block, so that a host process is as it was. The work
    has as many threads as before, and its results the same bits.
    """
    is_there, is_over = threading.Event(), threading.Event()

    def hold_a_pool() -> None:
        torch.zeros(_DIVIDED).add_(1)
        is_there.set()
        is_over.wait()

    holder = threading.Thread(target=hold_a_pool, name="waits", daemon=True)
    if device.type != "cpu" or torch.get_num_threads() == 1 or not _is_started(holder):
        yield
        return
    is_there.wait()
    try:
        yield
    finally:
        is_over.set()
        holder.join()


def _is_started(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError:  # there are too many; the work continues without
        return False
    return True
