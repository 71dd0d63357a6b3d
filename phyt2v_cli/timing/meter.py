"""Meter of a run: measures its speed from events, and estimates the time left.

Knows events, a plan and a clock; reads no file and prints nothing. Measurements are passed to `keep`.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from phyt2v_cli.events import (
    ControlStarted,
    Event,
    GeneratorReady,
    RoundDone,
    RoundStarted,
    Stage,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.timing.speeds import Speed

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedRound

Keep = Callable[[str, float, float, str], None]
"""Callback for a measurement: cache, seconds of a step, seconds of decoding and encoding, and device."""


class Meter:
    """Event listener that measures a run. Call it with each event."""

    def __init__(
        self,
        planned: "Sequence[PlannedRound]",
        *,
        control: bool = False,
        expected: Speed | None = None,
        keep: Keep = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the speed `expected`, until something is measured here."""
        self._planned = planned
        self._control = control
        self._keep = keep
        self._clock = clock
        self._step_s: dict[str, float] = {}
        if expected is not None:
            self._step_s = {"draft": expected.draft_step_s, "final": expected.final_step_s}
        self._other_s = expected.video_s if expected is not None else 0.0
        """Seconds of one video without the denoising."""
        self._settings: dict[str, str] = {}
        self._begin_round(planned[0].steps, planned[0].purpose, list(planned[1:]))

    def _begin_round(self, steps: int, purpose: str, later: "list[PlannedRound]") -> None:
        self._steps, self._purpose, self._later = steps, purpose, later
        self._step_times: list[float] = []
        self._num_steps_done = 0
        self._seconds: dict[Stage, float] = {}

    def __call__(self, event: Event) -> None:
        """Measure one event."""
        match event:
            case RoundStarted():
                # An early stop skips rounds, and changes the steps of the last one.
                later = list(self._planned[event.video.number : event.total_rounds])
                self._begin_round(event.steps, event.purpose, later)
            case ControlStarted():
                self._control = False
                self._begin_round(event.steps, "final", [])
            case GeneratorReady():
                self._settings = dict(event.settings)
            case StageStarted(stage="denoise"):
                self._step_times = []
            case StageStarted(stage="decode"):
                self._num_steps_done = self._steps  # also if the latents were there already
            case StepDone():
                if event.step > self._num_steps_done + 1:
                    self._step_times = []  # several at once: they were done before anybody listened
                else:
                    self._step_times.append(self._clock())
                self._num_steps_done, self._steps = event.step, event.steps
                if len(self._step_times) > 1:
                    # The first step also warms up, compiles and reads the prompt.
                    took = self._step_times[-1] - self._step_times[0]
                    self._step_s[self._purpose] = took / (len(self._step_times) - 1)
            case StageDone():
                self._end_stage(event)
            case RoundDone() if "decode" in self._seconds:
                # Only for a round that was not resumed half-way.
                self._other_s = sum(s for stage, s in self._seconds.items() if stage != "denoise")

    def _end_stage(self, event: StageDone) -> None:
        self._seconds[event.stage] = event.seconds
        if event.stage == "denoise":
            self._num_steps_done = self._steps
        elif event.stage == "encode" and len(self._step_times) > 1 and "decode" in self._seconds:
            self._keep(
                self._settings.get("cache", "off"),
                self._step_s[self._purpose],
                self._seconds["decode"] + self._seconds["encode"],
                self._settings.get("device_name", self._settings.get("device", "")),
            )

    def seconds_left(self) -> float | None:
        """Estimate of the time left of the run in s; None if nothing is known yet."""
        if not self._step_s:
            return None
        left = (self._steps - self._num_steps_done) * self._expect(self._purpose)
        left += max(0.0, self._other_s - sum(s for stage, s in self._seconds.items() if stage != "denoise"))
        for entry in self._later:
            left += entry.steps * self._expect(entry.purpose) + self._other_s
        if self._control:
            left += self._planned[-1].steps * self._expect("final") + self._other_s
        return left

    def _expect(self, purpose: str) -> float:
        return self._step_s.get(purpose) or next(iter(self._step_s.values()))
