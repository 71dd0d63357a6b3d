"""Progress of several runs on stderr, from the lines of their events: one line a run while it works.

Knows events and the console; reads nothing and decides nothing.
"""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Group, RenderableType
from rich.live import Live

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.run import DOING, SECONDS_BETWEEN_LINES, scores_text
from phyt2v_cli.events import LoadStarted, RoundDone, RoundStarted, StageStarted, StepDone
from phyt2v_cli.events.lines import event_of
from phyt2v_cli.quantities import count

_MAX_LINES = 12


@dataclass
class _Shown:
    where: str = ""
    doing: str = "preparing"
    scores: str = ""

    def text(self, name: str) -> str:
        doing = ", ".join(part for part in (self.where, self.doing) if part)
        return f"{name}: {doing}" + (f"; last {self.scores}" if self.scores else "")


class RunsProgress:
    """Display of several runs. They report through `hear` and `end`; leaving its ``with`` removes it."""

    def __init__(self) -> None:
        self._open: dict[str, _Shown] = {}
        self._num_ended = 0
        self._display = ExitStack()
        self._lock = threading.Lock()
        self._last_line = time.monotonic()
        self._is_live = False

    def __enter__(self) -> Self:
        err = console.stderr()
        self._is_live = err.is_terminal and not err.is_dumb_terminal and not console.is_quiet()
        if self._is_live:
            err = self._display.enter_context(console.one_stderr())
            live = Live(get_renderable=self._view, console=err, transient=True, refresh_per_second=4)
            self._display.enter_context(live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.close()

    def hear(self, name: str, lines: list[dict[str, Any]]) -> None:
        """Show the lines of an open run."""
        with self._lock:
            shown = self._open.setdefault(name, _Shown())
            for line in lines:
                _update(shown, line)
            rows = self._rows()
        if not self._is_live and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            for row in rows:
                console.say(f"  {row}")

    def end(self, name: str) -> None:
        """Show that a run is over."""
        with self._lock:
            self._num_ended += 1
            self._open.pop(name, None)

    def _rows(self) -> list[str]:
        rows = [shown.text(name) for name, shown in self._open.items()]
        hidden = len(rows) - _MAX_LINES
        return rows if hidden <= 0 else [*rows[:_MAX_LINES], f"and {count(hidden, 'more run')}"]

    def _view(self) -> RenderableType:
        with self._lock:
            rows, num_ended = self._rows(), self._num_ended
        state = f"{len(self._open)} running, {num_ended:,} ended"
        return Group(console.one_line(f"{state}", "cyan"), *(console.one_line(row) for row in rows))


def _update(shown: _Shown, line: dict[str, Any]) -> None:
    event = event_of(line)
    match event:
        case LoadStarted():
            shown.doing = "loading the model"
        case RoundStarted():
            shown.where = f"round {event.video.number} of {event.total_rounds}"
            shown.doing = "preparing"
        case StageStarted():
            shown.doing = DOING[event.stage]
        case StepDone():
            shown.doing = f"step {event.step} of {event.steps}"
        case RoundDone():
            shown.scores = scores_text(event.scores)
