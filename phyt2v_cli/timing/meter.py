"""Meter of a run: measures its speed from events, and estimates the time left.

Knows events, a plan and a clock; reads no file and prints nothing. Measurements are passed to `keep`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from phyt2v_cli.events import (
    ControlStarted,
    Event,
    GeneratorReady,
    LoadStarted,
    RerenderStarted,
    RoundDone,
    RoundStarted,
    Stage,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import RoundId

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedControl, PlannedRound

Keep = Callable[[str, float, float, str, float | None], None]
"""Callback for a measurement: cache, seconds of a step, seconds of decoding and encoding, device, and seconds
of loading, or None if nothing was loaded."""
KeepJudges = Callable[[Mapping[str, float]], None]
"""Callback for the seconds of the judges' stages of one video."""

_RENDERING: tuple[Stage, ...] = ("denoise", "decode", "encode")
_BETWEEN_ROUNDS: tuple[Stage, ...] = ("mismatch", "refine")
_NO_LOADING_S = 0.1
"""Shorter waits for the generator are none: it was there already."""


class Meter:
    """Event listener that measures a run. Call it with each event."""

    def __init__(
        self,
        planned: "Sequence[PlannedRound]",
        *,
        controls: "Sequence[PlannedControl]" = (),
        expected: Speed | None = None,
        judges: Mapping[str, float] = MappingProxyType({}),
        keep: Keep = lambda *_: None,
        keep_judges: KeepJudges = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        hears_each_step: bool = True,
    ) -> None:
        """Begin with the speed `expected` and the seconds of `judges` by stage, until these are measured.

        Without `hears_each_step` a step that is left out was done between the two beside it.
        """
        self._planned = planned
        self._controls = list(controls)
        self._keep, self._keep_judges = keep, keep_judges
        self._clock, self._hears_each_step = clock, hears_each_step
        self._step_s: dict[str, float] = {}
        self._stage_s: dict[str, float] = dict(judges)
        """Seconds that each stage but the denoising takes."""
        if expected is not None:
            self._step_s = {"draft": expected.draft_step_s, "final": expected.final_step_s}
            self._stage_s["decode"] = expected.video_s  # with the encoding
        self._settings: dict[str, str] = {}
        self._begun = clock()
        self._earlier_s = 0.0
        """Seconds of the videos that an earlier attempt has made."""
        self._wait_begun: float | None = None
        self._is_loaded = False
        self._expected_load_s = 0.0 if expected is None else expected.load_s
        self._load_s: float | None = None
        self._begin_video(planned[0].steps, planned[0].purpose, _without_first(planned))

    def _begin_video(self, steps: int, purpose: str, later: "list[PlannedRound]") -> None:
        self._steps, self._purpose, self._later = steps, purpose, later
        self._step_times: list[tuple[int, float]] = []
        self._num_steps_done = 0
        self._seconds: dict[str, float] = {}
        self._running: Stage | None = None
        self._running_since = 0.0

    def __call__(self, event: Event) -> None:
        """Measure one event."""
        match event:
            case RoundStarted():
                # An early stop skips rounds, and changes the steps of the last one.
                of_round = self._planned[event.video.number - 1 : event.total_rounds]
                later = _without_first(of_round, event.video) if of_round else []
                self._begin_video(event.steps, event.purpose, later)
            case ControlStarted():
                later_ids = [control.id for control in self._controls]
                if event.video in later_ids:
                    del self._controls[: later_ids.index(event.video) + 1]
                self._begin_video(event.steps, "final", [])
            case RerenderStarted():
                self._begin_video(event.steps, event.purpose, [])
            case LoadStarted():
                self._wait_begun = self._clock()
            case GeneratorReady():
                self._settings = dict(event.settings)
                self._end_loading()
            case StageStarted():
                self._running, self._running_since = event.stage, self._clock()
                if event.stage == "denoise":
                    self._step_times = []
                else:
                    self._num_steps_done = self._steps  # also if the latents were there already
            case StepDone():
                self._running_since = self._clock()
                if event.step > self._num_steps_done + 1 and self._hears_each_step:
                    self._step_times = []  # several at once: they were done before anybody listened
                else:
                    self._step_times.append((event.step, self._clock()))
                self._num_steps_done, self._steps = event.step, event.steps
                if len(self._step_times) > 1:
                    # The first step also warms up, compiles and reads the prompt.
                    (first, begin), (last, end) = self._step_times[0], self._step_times[-1]
                    self._step_s[self._purpose] = (end - begin) / max(last - first, 1)
            case StageDone():
                self._end_stage(event)
            case RoundDone():
                judged = {stage: s for stage, s in self._seconds.items() if stage not in _RENDERING}
                if judged:
                    self._keep_judges(judged)
                if not self._seconds:
                    self._earlier_s += event.seconds

    def _end_loading(self) -> None:
        now = self._clock()
        if not self._is_loaded and self._wait_begun is not None and now - self._wait_begun >= _NO_LOADING_S:
            self._load_s = now - self._begun
        self._is_loaded = True

    def _end_stage(self, event: StageDone) -> None:
        self._running = None
        self._seconds[event.stage] = event.seconds
        if event.stage == "denoise":
            self._num_steps_done = self._steps
            return
        if event.stage == "decode":
            self._stage_s.setdefault("encode", 0.0)
        self._stage_s[event.stage] = event.seconds
        if event.stage == "encode" and len(self._step_times) > 1 and "decode" in self._seconds:
            self._keep(
                self._settings.get("cache", "off"),
                self._step_s[self._purpose],
                self._seconds["decode"] + self._seconds["encode"],
                self._settings.get("device_name", self._settings.get("device", "")),
                self._load_s,
            )

    def share_done(self) -> float | None:
        """Share of the run's time that is over, from 0 to 1; None if nothing is known yet."""
        left = self.seconds_left()
        if left is None:
            return None
        done = self._earlier_s + self._clock() - self._begun
        return done / (done + left) if done + left > 0 else None

    def seconds_left(self) -> float | None:
        """Estimate of the time left of the run in s; None if nothing is known yet."""
        if not self._step_s:
            return None
        step_s = self._expect(self._purpose)
        left = (self._steps - self._num_steps_done) * step_s
        left += sum(s for stage, s in self._stages(is_last=not self._later) if stage not in self._seconds)
        if self._running is not None:
            takes = step_s if self._running == "denoise" else self._stage_s.get(self._running, 0.0)
            left -= min(self._clock() - self._running_since, takes, left)
        if not self._is_loaded:
            left += max(0.0, self._expected_load_s - (self._clock() - self._begun))
        for entry in self._later:
            left += entry.total_steps * self._expect(entry.purpose)
            of_video = sum(s for _, s in self._stages(is_last=entry is self._later[-1]))
            left += entry.num_candidates * of_video
        for control in list(self._controls):
            if control.steps:
                left += control.steps * self._expect("final")
                left += sum(s for _, s in self._stages(is_last=True))
        return left

    def _stages(self, *, is_last: bool) -> Iterator[tuple[str, float]]:
        """Stages of one video after the denoising, with their seconds; no prompt comes after the last."""
        for stage, seconds in list(self._stage_s.items()):  # a display's thread asks while stages end
            if not (is_last and stage in _BETWEEN_ROUNDS):
                yield stage, seconds

    def _expect(self, purpose: str) -> float:
        return self._step_s.get(purpose) or next(iter(self._step_s.values()))


def _without_first(planned: "Sequence[PlannedRound]", video: RoundId | None = None) -> "list[PlannedRound]":
    """Rounds that are left after a video of the first of them, its first one by default."""
    first, *later = planned
    num_done = first.ids.index(video) + 1 if video in first.ids else 1
    left = first.num_candidates - num_done
    return [*([replace(first, num_candidates=left)] if left else []), *later]
