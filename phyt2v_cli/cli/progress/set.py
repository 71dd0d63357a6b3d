"""Progress of a prompt set on stderr: one live view of all runs, and elsewhere a plain line now and then.

Events come from the threads of the runs. Knows events, a meter and the console; decides nothing about runs.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.run import DOING, SECONDS_BETWEEN_LINES, scores_text
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.events import Event, GeneratorReady, LoadStarted, Notice, RoundDone, StageStarted, StepDone
from phyt2v_cli.quantities import count, duration

if TYPE_CHECKING:
    from phyt2v_cli.sets.jobs import Outcome
    from phyt2v_cli.timing.set_meter import SetMeter

BusyShare = Callable[[], float | None]
"""Share of the time since the first render in which the generators worked, 0 to 1; None before it."""

_BAR_WIDTH = 30


@dataclass
class _Shown:
    """What an open run was last heard to do."""

    video: str = ""
    doing: str = "preparing"


class SetProgress:
    """Display of a set. Runs report through `begin`, `hear` and `end`; leaving its ``with`` removes it.

    Nothing is printed while the lock is held: the display takes it to draw, inside the console's own lock.
    """

    def __init__(self, num_jobs: int, meter: "SetMeter", busy_share: BusyShare, *, num_done: int = 0) -> None:
        """Show `num_jobs` jobs, of which `num_done` were complete before."""
        self._num_jobs = num_jobs
        self._meter = meter
        self._busy_share = busy_share
        self._num_done = num_done
        self._num_failed = 0
        self._open: dict[int, _Shown] = {}
        self._mismatch = ""
        self._how_it_runs = ""
        self._lock = threading.Lock()
        self._display = ExitStack()
        self._has_ended = threading.Event()
        self._ticker = threading.Thread(target=self._tell_regularly, name="progress", daemon=True)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if console.is_quiet():
            return self
        err = console.stderr()
        if err.is_terminal and not err.is_dumb_terminal:
            err = self._display.enter_context(console.one_stderr())
            live = Live(get_renderable=self._view, console=err, transient=True, refresh_per_second=4)
            self._display.enter_context(live)
        else:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._display.close()

    def begin(self, number: int) -> None:
        """Show the run of a job as open."""
        self._meter.begin(number)
        with self._lock:
            self._open[number] = _Shown()

    def hear(self, number: int, event: Event) -> None:
        """Show an event of an open run."""
        self._meter.hear(number, event)
        name = f"prompt {number}"
        match event:
            case Notice():
                console.warn(f"{name}: {event.text}", in_flags(event.hint))
            case GeneratorReady():
                self._tell_how_it_runs(event.settings.get("device_name") or event.settings.get("device", ""))
            case LoadStarted():
                self._do(number, "", "loading the model")
            case StageStarted():
                self._do(number, event.video.label, DOING[event.stage])
            case StepDone():
                self._do(number, event.video.label, f"step {event.step} of {event.steps}")
            case RoundDone():
                self._hear_round(number, event)

    def end(self, outcome: "Outcome") -> None:
        """Show that a job is over, and print its result."""
        number = outcome.job.number
        self._meter.end(number)
        with self._lock:
            self._open.pop(number, None)
            self._num_done += outcome.result is not None
            self._num_failed += outcome.result is None
        if outcome.result is not None:
            prompt = " ".join(outcome.job.entry.prompt.split())
            console.say(
                console.one_line(
                    f"Prompt {number} of {self._num_jobs:,}: {scores_text(outcome.result.scores)}: {prompt}"
                )
            )

    def _do(self, number: int, video: str, doing: str) -> None:
        with self._lock:
            if shown := self._open.get(number):
                shown.video, shown.doing = video, doing

    def _hear_round(self, number: int, event: RoundDone) -> None:
        text = f"prompt {number}, {event.video.label.lower()}"
        if event.mismatch is not None:
            with self._lock:
                self._mismatch = f"{text}: {' '.join(event.mismatch.split())}"
        if console.is_verbose():
            console.say(f"{text}: {scores_text(event.scores)} ({event.purpose})", "dim")

    def _tell_how_it_runs(self, device: str) -> None:
        with self._lock:
            if device == self._how_it_runs:
                return
            self._how_it_runs = device
        console.say(f"model: on {device}")

    def _state(self) -> str:
        """State of the set in one line."""
        share, left = self._busy_share(), self._meter.seconds_left()
        parts = [
            f"{self._num_done:,} of {count(self._num_jobs, 'prompt')} done",
            f"{self._num_failed:,} failed" if self._num_failed else "",
            "" if left is None else f"about {duration(left)} left",
            f"{len(self._open)} running",
            "" if share is None else f"generator busy {share:.0%}",
        ]
        return ", ".join(part for part in parts if part)

    def _at_work(self) -> str:
        """What an open run does, of one that renders if there is one; empty if none is open."""
        rendering = {n: one for n, one in self._open.items() if one.doing.startswith("step ")}
        shown = rendering or self._open
        if not shown:
            return ""
        number, one = next(iter(shown.items()))
        others = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
        video = f", {one.video.lower()}" if one.video else ""
        return f"prompt {number}{video}: {one.doing}{others}"

    def _view(self) -> RenderableType:
        with self._lock:
            state, mismatch, at_work = self._state(), self._mismatch, self._at_work()
        over = self._num_done + self._num_failed
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._num_jobs, completed=over, width=_BAR_WIDTH),
            Text(f"{over:,}/{self._num_jobs:,}", style="progress.download"),
        )
        lines: list[RenderableType] = [bar, console.one_line(state, "cyan")]
        if at_work:
            lines.append(console.one_line(at_work, "dim"))
        if mismatch:
            lines.append(console.one_line(f"last mismatch: {mismatch}", "dim"))
        if line := console.line_in_display():
            lines.append(Text(line))
        return Group(*lines)

    def _tell_regularly(self) -> None:
        told = ""
        while not self._has_ended.wait(SECONDS_BETWEEN_LINES / 5):
            if time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
                continue
            with self._lock:
                state, mismatch, at_work = self._state(), self._mismatch, self._at_work()
            self._last_line = time.monotonic()
            console.say(f"  {state}{'; ' if at_work else ''}{at_work}")
            if mismatch != told:
                told = mismatch
                console.say(console.one_line(f"  last mismatch: {mismatch}"))
