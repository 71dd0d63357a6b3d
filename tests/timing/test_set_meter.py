"""Time left of a set, with a clock and a number of places that the test turns."""

import pytest

from phyt2v_cli.events import StepDone
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.timing.set_meter import SetMeter
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import RoundId
from tests.test_turns import Clock

TEN_STEPS = [PlannedRound(1, 10, "final")]


class Set:
    """A set of a hundred prompts, each of which takes ten steps of a second at one place."""

    def __init__(self, num_places: int = 1, expected: Speed | None = None) -> None:
        self.clock = Clock()
        self.num_places = num_places
        self.meter = SetMeter(
            TEN_STEPS, 100, expected=expected, num_places=lambda: self.num_places, clock=self.clock
        )

    def step(self, step: int, *runs: int) -> None:
        """One step of these runs at once."""
        for run in runs:
            if step == 1:
                self.meter.begin(run)
            self.meter.hear(run, StepDone(RoundId(1), step, 10))
            if step == 10:
                self.meter.end(run)
        self.clock.now += 1

    def left(self) -> float:
        left = self.meter.seconds_left()
        assert left is not None
        return left


def test_what_is_expected_follows_the_places_as_workers_load() -> None:
    one = Set(expected=Speed(1.0, 1.0))
    assert one.left() == 1000
    one.num_places = 4
    assert one.left() == 250


def test_what_is_measured_follows_the_places_too() -> None:
    one = Set()
    for run in range(2):  # at one place, and then two more workers have loaded
        for step in range(1, 11):
            one.step(step, run)
    assert one.left() == pytest.approx(980, rel=0.06)
    one.num_places = 3
    assert one.left() == pytest.approx(980 / 3, rel=0.06)
    for first in range(2, 62, 3):
        for step in range(1, 11):
            one.step(step, first, first + 1, first + 2)
    assert one.left() == pytest.approx(380 / 3, rel=0.06)
    one.num_places = 1  # two are lost
    assert one.left() == pytest.approx(380, rel=0.06)


def test_nothing_is_known_before_a_run_is_rendered_and_nothing_is_left_after_all() -> None:
    one = Set()
    assert one.meter.seconds_left() is None
    for run in range(100):
        for step in range(1, 11):
            one.step(step, run)
            assert run or one.meter.seconds_left() is None
    assert one.meter.seconds_left() is None
