"""Trace of a run for a trace viewer (Chrome's trace event format).

Open it in Perfetto or chrome://tracing. Every stage, denoising step and wait is a span; each thread beside
the loop has a row of its own. Knows events and a clock, and nothing of what the stages do.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from phyt2v_cli.errors import FilesError
from phyt2v_cli.events import (
    ControlStarted,
    Event,
    GeneratorReady,
    LoadStarted,
    RoundStarted,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.untrusted import read_start, refusals_as

_Span = dict[str, object]

_SCHEMA = "phyt2v.profile/1"
_HEAD_BYTES = 40


def check_target(path: Path) -> None:
    """Check that a profile can be written to `path`; raise FilesError if not, or if another file is there."""
    with refusals_as(FilesError, str(path)):
        if not path.parent.is_dir():
            raise FilesError(
                f"there is no folder {path.parent}", "Create it, or choose another file with `profile`."
            )
        if not path.exists():
            return
        with suppress(ValueError):
            if f'"{_SCHEMA}"'.encode() in read_start(path, _HEAD_BYTES):
                return
    raise FilesError(f"{path} is there already and is no profile", "Choose another file with `profile`.")


class Timeline:
    """Event listener that records a timeline. Call it with each event of a run, and write it at the end."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._spans: list[_Span] = []
        self._rows: dict[str, int] = {}
        """Row numbers by thread name, since numbers of threads are reused after their end."""
        self._row_numbers = count()
        self._round = "before the rounds"
        self._started: dict[str, float] = {}
        self._last_step = 0.0

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case RoundStarted():
                self._round = f"{event.video.label.lower()}, {event.steps} steps, {event.purpose}"
            case ControlStarted():
                self._round = f"{event.video.label.lower()}, {event.steps} steps"
            case LoadStarted():
                self._started["wait for the generator"] = self._now()
            case GeneratorReady():
                self._end("wait for the generator")
            case StageStarted():
                self._started[event.stage] = self._last_step = self._now()
            case StepDone():
                now = self._now()
                self._add(f"step {event.step}", self._last_step, now)
                self._last_step = now
            case StageDone():
                self._end(event.stage)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Record the block as a span, in the row of its thread."""
        start = self._now()
        try:
            yield
        finally:
            self._add(name, start, self._now())

    @property
    def is_empty(self) -> bool:
        """Whether nothing has begun."""
        return not self._spans and not self._started

    def write(self, path: Path) -> None:
        """Write the file; open spans end here. Raises FilesError if it cannot be written.

        As `check_target` does too: what was written meanwhile may be a file of the run itself.
        """
        check_target(path)
        for name in list(self._started):
            self._end(name)
        rows = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}}
            for name, tid in self._rows.items()
        ]
        content = {"schema": _SCHEMA, "displayTimeUnit": "ms", "traceEvents": [*rows, *self._spans]}
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(content) + "\n")

    def _now(self) -> float:
        return time.perf_counter() - self._begin

    def _end(self, name: str) -> None:
        start = self._started.pop(name, None)
        if start is not None:
            self._add(name, start, self._now())

    def _add(self, name: str, start: float, end: float) -> None:
        thread = threading.current_thread()
        is_loop = thread is threading.main_thread()
        name_of_row = "the loop" if is_loop else thread.name
        if name_of_row not in self._rows:
            self._rows[name_of_row] = next(self._row_numbers)
        # Appending is atomic, so threads need no lock.
        self._spans.append(
            {
                "ph": "X",
                "name": name,
                "pid": 1,
                "tid": self._rows[name_of_row],
                "ts": round(start * 1e6),
                "dur": round((end - start) * 1e6),
                "args": {"round": self._round},
            }
        )
