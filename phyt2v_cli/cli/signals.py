"""Signals: stop at a place from which the work can resume.

The first signal sets a flag that long work polls between its steps. Work that does not poll it within
`GRACE_S` seconds (a model that loads, a server that is silent) is abandoned: everything on disk is written
atomically, so that costs no more than a kill would. If that moment falls into a `__del__`, out of which
Python lets no exception, the next moment is taken. The second signal ends the process at once. Knows no
command and prints nothing.
"""

import _thread
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from phyt2v_cli.cli import console
from phyt2v_cli.errors import RunInterruptedError, out_of_threads

GRACE_S = 0.8

_AGAIN_S = 0.02
"""Until the next try, if the exception that abandons the work was dropped."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Signal handler that requests a stop. Use it in a ``with`` statement.

    After a signal, every exception that leaves the ``with`` becomes RunInterruptedError with the signal's
    exit code: interrupted code can fail with any exception.
    """

    def __init__(
        self, message: str, hint: str, *, on_first: Callable[[], None], on_second: Callable[[], None]
    ) -> None:
        """Set message and hint (how to resume) of the error, and the callbacks for the two signals."""
        self.signal: int | None = None
        self._message, self._hint = message, hint
        self._on_first = on_first
        self._on_second = on_second
        self._previous: dict[int, object] = {}
        self._previous_hook = sys.unraisablehook

    def cancelled(self) -> bool:
        """Check if a signal has come. The caller then stops by itself, and is not abandoned."""
        if self.signal is None:
            return False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # nohup starts programs with SIGHUP ignored, so that they survive it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._abandon)
        sys.unraisablehook = self._hear_of_dropped
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.signal is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned
        sys.unraisablehook = self._previous_hook
        if self.signal is not None and error is not None:
            interruption = RunInterruptedError(self._message, self._hint)
            interruption.exit_code = 128 + self.signal
            raise interruption from error

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and not can_start_thread():
            raise out_of_threads()
        if self.signal is not None:
            self._on_second()
            os._exit(128 + number)
        self.signal = number
        self._on_first()
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def _abandon(self, _number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def _hear_of_dropped(self, dropped: "sys.UnraisableHookArgs") -> None:
        """Abandon the work a moment later, if this was to do it; hand on any other exception."""
        if self.signal is not None and dropped.exc_type is KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            self._previous_hook(dropped)


def can_start_thread() -> bool:
    """Check if this process may start a thread. If not, a SIGINT may be OpenBLAS's own, and no Ctrl-C.

    OpenBLAS interrupts the process that imports it if it cannot start its threads.
    """
    try:
        _thread.start_new_thread(int, ())
    except RuntimeError:
        return False
    return True


def exit_on_termination() -> None:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C, with exit codes 143 and 129."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in _SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


def stop_request(message: str, hint: str) -> StopRequest:
    """Stop request that reports to the console; `hint` says how to resume."""
    return StopRequest(
        message,
        hint,
        on_first=lambda: console.say_from_signal_handler("stopping soon; once more to stop at once"),
        on_second=console.show_cursor,
    )
