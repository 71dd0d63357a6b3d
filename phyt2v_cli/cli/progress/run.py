"""Progress of a run on stderr: a live bar on a terminal, and elsewhere a plain line every few seconds.

Knows events and the console; decides nothing about the run.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.how_it_runs import how_it_runs
from phyt2v_cli.cli.progress.pictures import picture
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.events import (
    AnalysisDone,
    CandidateDone,
    ControlStarted,
    Event,
    GeneratorReady,
    LatentsFound,
    LoadStarted,
    Notice,
    PreviewMade,
    RerenderStarted,
    RoundDone,
    RoundStarted,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.quantities import count, duration, score
from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.report.verdict import verdict
from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import RoundId

SECONDS_BETWEEN_LINES = 5.0

DOING = {
    "denoise": "denoising",
    "decode": "decoding",
    "encode": "writing the video",
    "caption": "captioning",
    "score": "scoring",
    "mismatch": "comparing",
    "refine": "rewriting the prompt",
}
"""Stages in words."""


SecondsLeft = Callable[[], float | None]
"""Estimate of the time left of the run (not of one video) in s; None if unknown."""
ShareDone = Callable[[], float | None]
"""Share of the run's time that is over, from 0 to 1; None if unknown."""

_BAR_WIDTH = 30
_BESIDE_BAR = 32
"""Columns that the share and the time left take, so that a narrow terminal has them in one line."""


class RunProgress:
    """Event listener that draws a run. Call it with each event; leaving its ``with`` removes the bar."""

    def __init__(
        self,
        seconds_left: SecondsLeft = lambda: None,
        share_done: ShareDone = lambda: None,
        clock: Callable[[], float] = lambda: time.monotonic(),
    ) -> None:
        """Show estimates by `seconds_left` and `share_done`, and times by `clock`."""
        self._seconds_left, self._share_done, self._clock = seconds_left, share_done, clock
        self._console: Console = console.stderr()
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._display = ExitStack()
        self._share = 0.0
        self._where = self._last_scores = ""
        self._heading: Text | None = None
        self._total_rounds = 0
        self._prompts: dict[RoundId, str] = {}
        self._is_one_of_several = False
        self._is_loading = False
        self._how_it_runs = ""
        self._has_told_preview = False
        # Both threads below print, and each line belongs to what is done at that moment.
        self._lock = threading.Lock()
        self._has_ended = threading.Event()
        self._ticker = threading.Thread(target=self._tell_regularly, name="progress", daemon=True)
        self._doing, self._step = "preparing", ""
        self._doing_since = self._last_line = self._clock()

    def __enter__(self) -> Self:
        self._show()
        if not self._live and not console.is_quiet():
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._display.close()

    def _show(self) -> None:
        if self._live and not console.is_quiet():
            err = self._display.enter_context(console.one_stderr())
            self._display.enter_context(
                Live(get_renderable=self._view, console=err, transient=True, refresh_per_second=4)
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draw nothing within this context, in which a person is asked."""
        self._display.close()
        with self._lock:  # which the ticker waits for
            yield
            self._doing_since = self._last_line = self._clock()
        self._show()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        with self._lock:
            self._draw(event)

    def _draw(self, event: Event) -> None:
        if isinstance(event, Notice):
            console.warn(event.text, in_flags(event.hint))
        if console.is_quiet():
            return
        match event:
            case AnalysisDone():
                self._say("main object", event.main_object)
                self._say("physical law", event.physical_law)
            case LoadStarted():
                self._start_stage("loading the model")
                self._is_loading = True
            case GeneratorReady():
                self._draw_how_it_runs(event.settings)
            case RoundStarted():
                self._total_rounds = event.total_rounds
                self._prompts[event.video] = event.prompt
                self._where = f"round {event.video.number} of {event.total_rounds}"
                # Not printed until a stage begins: a resumed run passes finished rounds without work.
                candidate = f", candidate {event.video.candidate}" if event.video.candidate else ""
                self._heading = Text(
                    f"Round {event.video.number} of {event.total_rounds}{candidate}: "
                    f"{count(event.steps, 'denoising step')}",
                    style="bold",
                )
            case ControlStarted() | RerenderStarted():
                self._where = event.video.label.lower()
                purpose = f", {event.purpose}" if isinstance(event, RerenderStarted) else ""
                steps = count(event.steps, "denoising step")
                self._heading = Text(f"{event.video.label}: {steps}{purpose}", style="bold")
            case StageStarted():
                self._print_heading()
                self._start_stage(DOING[event.stage])
            case StepDone():
                self._draw_step(event)
            case PreviewMade():
                self._draw_preview(event)
            case LatentsFound():
                console.say(f"Resuming from the latents in {event.path}")
            case StageDone():
                self._end_stage()
                if console.is_verbose():
                    console.say(f"  {DOING[event.stage]}: {duration(event.seconds)}", "dim")
            case CandidateDone():
                self._end_stage()
                self._is_one_of_several = True
                if self._heading is None:
                    took = f"  {duration(event.seconds)}, {scores_text(event.scores)} ({event.purpose})"
                    console.say(took)
            case RoundDone():
                self._end_stage()
                self._last_scores = (
                    f"last scores: {scores_text(event.scores)} ({event.video.label.lower()}, {event.purpose})"
                )
                self._draw_round(event)

    def _draw_how_it_runs(self, settings: Mapping[str, str]) -> None:
        text = how_it_runs(settings)
        if text != self._how_it_runs:
            # Also in the middle of a video, after memory ran out.
            self._how_it_runs = text
            if self._is_loading:
                self._end_stage()
            self._say("model", f"on {text}")

    def _start_stage(self, doing: str) -> None:
        self._end_stage()
        self._doing, self._step = doing, ""
        self._doing_since = self._last_line = self._clock()

    def _end_stage(self) -> None:
        self._is_loading = False
        self._doing, self._step = "working", ""
        self._doing_since = self._clock()

    def _draw_step(self, event: StepDone) -> None:
        self._step = f"step {event.step} of {event.steps}"
        if not self._live:
            self._tell_if_silent()

    def _draw_preview(self, event: PreviewMade) -> None:
        shown = picture(event.path, columns=self._console.width - 2) if self._live else None
        if shown is not None:
            console.say(Padding(shown, (0, 0, 0, 2), expand=False))
        elif not self._has_told_preview:
            self._say("preview", f"{event.path}, again after every few steps")
        self._has_told_preview = True

    def _tell_regularly(self) -> None:
        """Tell what is done, until the end: the work itself may be silent for minutes."""
        while not self._has_ended.wait(SECONDS_BETWEEN_LINES / 5):
            with self._lock:
                if not self._has_ended.is_set():
                    self._tell_if_silent()

    def _tell_if_silent(self) -> None:
        now = self._clock()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = self._seconds_left()
            rest = "" if left is None else f", about {duration(left)} left"
            console.say(f"  {self._state(now)}{rest}")

    def _state(self, now: float) -> str:
        """What is done at the moment, in words."""
        doing = self._step or f"{self._doing}, {duration(now - self._doing_since)} so far"
        return doing if self._is_loading or not self._where else f"{self._where}, {doing}"

    def _view(self) -> RenderableType:
        """Live view: one bar for the whole run, and what is done.

        It is drawn inside the console's lock, in another thread, and so takes no other lock.
        """
        share, left = self._share_done(), self._seconds_left()
        self._share = max(self._share, share or 0.0)  # an estimate that has grown draws no bar back
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(
                completed=100 * self._share,
                width=max(6, min(_BAR_WIDTH, self._console.width - _BESIDE_BAR)),
                pulse=share is None and not self._share,
            ),
            Text("" if share is None else f"{self._share:4.0%}", style="progress.download"),
            Text("" if left is None else f"about {duration(left)} left", style="cyan"),
        )
        lines: list[RenderableType] = [bar, console.one_line(self._state(self._clock()))]
        if self._last_scores:
            lines.append(console.one_line(self._last_scores, "dim"))
        if line := console.line_in_display():
            lines.append(Text(line))
        return Padding(Group(*lines), (0, 0, 0, 2), expand=False)

    def _draw_round(self, event: RoundDone) -> None:
        if self._heading is not None:
            self._heading = None
            console.say(f"Round {event.video.number} of {self._total_rounds}: done before", "dim")
            return
        if self._is_one_of_several:
            self._is_one_of_several = False
            self._say("chosen", f"{event.video.video_name}, {scores_text(event.scores)}")
        else:
            self._draw_scores(event)
        if event.flags:
            self._say("flags", ", ".join(event.flags).replace("_", " "))
        if event.mismatch is not None:
            self._say("mismatch", event.mismatch, one_line=True)
        if event.refined_prompt is not None:
            why = verdict(
                self._prompts.get(event.video, ""),
                event.refined_prompt,
                mismatch=event.mismatch,
                flags=event.flags,
                scores=event.scores,
                review=event.review,
            )
            if why:
                self._say("prompt", why)
            if event.refined_prompt != self._prompts.get(event.video):
                self._say("new prompt", event.refined_prompt)

    def _draw_scores(self, event: RoundDone) -> None:
        took = f"  {duration(event.seconds)}, {scores_text(event.scores)} ({event.purpose}"
        deciding, *others = event.scorers or [""]
        if not others:
            console.say(f"{took})")
            if console.is_verbose() or event.scores.semantic_adherence is None:
                for reason in event.scores.reasons:
                    self._say("score", reason)
            return
        console.say(f"{took}, by {deciding})")
        for name in others:
            self._say(name, scores_text(event.scorers[name]))
        self._say("scorers", disagreement_text(event.scorers.values()))
        for name, scores in event.scorers.items():
            if console.is_verbose() or None in (scores.semantic_adherence, scores.physical_commonsense):
                for reason in scores.reasons:
                    self._say(name, reason)

    def _say(self, label: str, text: str, *, one_line: bool = False) -> None:
        self._last_line = self._clock()
        flat = " ".join(text.split())
        if not self._live:
            console.say(f"  {label}: {flat}")
            return
        line = Text.assemble((f"{label}: ", "dim"), console.safe(flat))
        if one_line:
            line.no_wrap, line.overflow = True, "ellipsis"
        console.say(Padding(line, (0, 0, 0, 2), expand=False))

    def _print_heading(self) -> None:
        if self._heading is not None:
            console.say(self._heading)
            self._heading = None


def scores_text(scores: Scores) -> str:
    """Scores as ``SA 0.90, PC 0.40``, with a dash if the scorer abstained."""
    sa, pc = score(scores.semantic_adherence), score(scores.physical_commonsense)
    return f"SA {sa}, PC {pc}"


def disagreement_text(scores: Iterable[Scores]) -> str:
    """Largest disagreement of several scorers, as in ``they differ by 0.40 in PC``."""
    several = list(scores)
    match disagreement(several).largest():
        case None:
            return "nothing to compare: only one of them, or none, gave a score"
        case (name, apart) if apart >= 0.005:
            return f"they differ by {'up to ' if len(several) > 2 else ''}{apart:.2f} in {name}"
        case _:
            return "they agree"
