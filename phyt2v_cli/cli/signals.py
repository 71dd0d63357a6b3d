"""Turn signals into a flag that long work polls, so that it stops at a place from which it can go on.

The first signal asks to stop, the second ends the process at once. Knows no command and prints nothing.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class StopRequest:
    """Whether the user asked to stop, and with which signal; use it in a ``with`` statement."""

    def __init__(self, *, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        """Take what the handler calls; the process ends right after `on_second`."""
        self.signal: int | None = None
        self._on_first = on_first
        self._on_second = on_second
        self._previous: dict[int, object] = {}

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal, as shells report it."""
        return 128 + (self.signal or signal.SIGINT)

    def cancelled(self) -> bool:
        """Return whether a signal has come."""
        return self.signal is not None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # nohup starts programs with SIGHUP ignored, and they are to live on.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            self._on_second()
            os._exit(128 + number)
        self.signal = number
        self._on_first()


def exit_on_termination() -> None:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C does, ending in 143 and 129."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in _SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
