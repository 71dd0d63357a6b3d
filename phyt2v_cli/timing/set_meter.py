"""Meter of a prompt set: counts the denoising steps of all runs, and estimates the time left of the whole.

Knows events, plans and a clock; reads no file and prints nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from phyt2v_cli.events import Event, RoundDone, StepDone
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import VideoId

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedControl, PlannedRound


class SetMeter:
    """Thread-safe count of steps over the runs of a set."""

    def __init__(
        self,
        planned: "Sequence[PlannedRound]",
        num_runs: int,
        *,
        controls: "Sequence[PlannedControl]" = (),
        expected: Speed | None = None,
        num_places: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with `num_runs` runs to do, at the speed `expected` on each of `num_places()` generators.

        Their number may change, as workers of a cluster load or are lost: the speed of one is what is
        measured, and the time left is that of as many as there are now.
        """
        self._after_round = [sum(entry.total_steps for entry in planned[n:]) for n in range(len(planned) + 1)]
        self._control_steps = sum(control.steps for control in controls)
        self._of_run = self._after_round[0] + self._control_steps
        self._load_s = 0.0 if expected is None else expected.load_s
        self._begun = clock()
        self._run_s = None if expected is None else expected.total_s(planned, controls)
        self._num_places = num_places
        self._clock = clock
        self._lock = threading.Lock()
        self._left_of_open: dict[int, int] = {}
        self._last_step: dict[int, tuple[VideoId, int]] = {}
        self._num_not_begun = num_runs
        self._num_steps = 0
        self._place_s = 0.0
        """Seconds of all places since the first steps, which also warm up."""
        self._counted: tuple[float, int] | None = None
        """Time at which they were counted last, and places from then on."""

    def begin(self, run: int) -> None:
        """Count a run as open."""
        with self._lock:
            self._num_not_begun -= 1
            self._left_of_open[run] = self._of_run

    def end(self, run: int) -> None:
        """Count a run as over, whatever steps it has left out."""
        with self._lock:
            self._left_of_open.pop(run, None)
            self._last_step.pop(run, None)

    def hear(self, run: int, event: Event) -> None:
        """Count an event of an open run."""
        with self._lock:
            if isinstance(event, StepDone):
                # Steps may come several at once, and again from the first if a worker was lost.
                video, before = self._last_step.get(run, (event.video, 0))
                before = before if video == event.video else 0
                done = max(0, event.step - before)
                self._last_step[run] = (event.video, max(event.step, before))
                if self._counted is not None:
                    self._num_steps += done
                self._count_places()
                self._left_of_open[run] = max(0, self._left_of_open[run] - done)
            elif isinstance(event, RoundDone):  # also of a round that was done before
                number = min(event.video.number, len(self._after_round) - 1)
                self._left_of_open[run] = self._after_round[number] + self._control_steps

    def seconds_left(self) -> float | None:
        """Estimate of the time left of the set in s; None if nothing is known yet, or no step is left."""
        with self._lock:
            num_steps = self._num_not_begun * self._of_run + sum(self._left_of_open.values())
            if not num_steps:
                return None
            if self._counted is not None:
                self._count_places()
            places = self._num_places()
            if self._num_steps >= self._of_run:
                return num_steps * self._place_s / self._num_steps / places
            if self._run_s is None:
                return None
            loading = 0.0 if self._counted else max(0.0, self._load_s - (self._clock() - self._begun))
            return loading + self._run_s * num_steps / self._of_run / places

    def _count_places(self) -> None:
        now = self._clock()
        if self._counted is not None:
            then, num_places = self._counted
            self._place_s += num_places * (now - then)
        self._counted = now, self._num_places()
