"""A run's clock, driven by a clock that the test turns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest

from phyt2v_cli.events import (
    ControlStarted,
    Event,
    GeneratorReady,
    LoadStarted,
    RoundDone,
    RoundStarted,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.roles import Scores
from phyt2v_cli.schedule import PlannedControl, PlannedRound
from phyt2v_cli.timing.meter import Meter
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import BLIND, CONTROL, RoundId

PLANNED = [PlannedRound(1, 4, "draft"), PlannedRound(2, 10, "final")]


@dataclass
class Run:
    """Plays a run whose draft steps take 1 s and whose final steps take 2 s."""

    now: float = 0.0
    kept: list[tuple[object, ...]] = field(default_factory=list)
    judged: list[Mapping[str, float]] = field(default_factory=list)

    def meter(
        self,
        *,
        controls: Sequence[PlannedControl] = (),
        expected: Speed | None = None,
        judges: Mapping[str, float] = MappingProxyType({}),
    ) -> Meter:
        return Meter(
            PLANNED,
            controls=controls,
            expected=expected,
            judges=judges,
            keep=lambda *measured: self.kept.append(measured),
            keep_judges=self.judged.append,
            clock=lambda: self.now,
        )

    def round(self, number: int, *, steps: int, purpose: str, cache: str) -> Iterable[Event]:
        step_s = {"draft": 1.0, "final": 2.0}[purpose]
        yield RoundStarted(RoundId(number), 2, steps, purpose, "a ball")  # type: ignore[arg-type]
        yield StageStarted(RoundId(number), "denoise")
        self.now += 30  # compiling
        for step in range(1, steps + 1):
            self.now += step_s
            yield GeneratorReady({"cache": cache, "device": "cpu"})
            yield StepDone(RoundId(number), step, steps)
        yield StageDone(RoundId(number), "denoise", 30 + steps * step_s)
        for stage, seconds in (("decode", 3.0), ("encode", 1.0), ("caption", 5.0), ("score", 1.0)):
            yield StageStarted(RoundId(number), stage)  # type: ignore[arg-type]
            yield StageDone(RoundId(number), stage, seconds)  # type: ignore[arg-type]
        yield RoundDone(RoundId(number), purpose, 10, Scores(1, 1), None, None, ())  # type: ignore[arg-type]


def test_the_rest_of_the_run_is_told_and_not_of_one_video() -> None:
    run = Run()
    meter = run.meter()
    left = []
    for event in run.round(1, steps=4, purpose="draft", cache="off"):
        meter(event)
        left.append(meter.seconds_left())
    assert left[0] is None
    first_known = next(seconds for seconds in left if seconds is not None)
    assert first_known == pytest.approx(2 * 1 + 10 * 1)  # two more drafts, and a final at what is known
    assert left[-1] == pytest.approx(10 * 1 + 10)  # the final, and its stages like the first's


def test_what_was_measured_is_kept_without_the_first_step_of_each_video() -> None:
    run = Run()
    meter = run.meter()
    for event in run.round(1, steps=4, purpose="draft", cache="taylor"):
        meter(event)
    for event in run.round(2, steps=10, purpose="final", cache="off"):
        meter(event)
    assert run.kept == [("taylor", 1.0, 4.0, "cpu", None), ("off", 2.0, 4.0, "cpu", None)]
    assert meter.seconds_left() == pytest.approx(0)


def test_what_the_machine_knows_serves_from_the_start() -> None:
    controls = [PlannedControl(CONTROL, 10), PlannedControl(BLIND, 10)]
    meter = Run().meter(controls=controls, expected=Speed(2.0, 1.0, 3.0))
    assert meter.seconds_left() == pytest.approx(4 * 1 + 3 + 3 * (10 * 2 + 3))
    meter(ControlStarted(CONTROL, 10))
    assert meter.seconds_left() == pytest.approx(2 * (10 * 2 + 3))
    meter(ControlStarted(BLIND, 10))
    assert meter.seconds_left() == pytest.approx(10 * 2 + 3)


def test_rounds_that_were_done_before_are_not_waited_for_again() -> None:
    run = Run()
    meter = run.meter(expected=Speed(2.0, 1.0))
    meter(RoundStarted(RoundId(1), 2, 4, "draft", "a ball"))
    meter(RoundDone(RoundId(1), "draft", 5, Scores(1, 1), None, None, ()))
    meter(RoundStarted(RoundId(2), 2, 10, "final", "a ball"))
    assert meter.seconds_left() == pytest.approx(10 * 2)
    assert run.kept == []


def test_an_early_stop_leaves_rounds_out() -> None:
    meter = Run().meter(expected=Speed(2.0, 1.0))
    meter(RoundStarted(RoundId(1), 1, 10, "final", "a ball"))
    assert meter.seconds_left() == pytest.approx(20)


def test_steps_that_were_done_before_anybody_asked_say_nothing_of_a_steps_time() -> None:
    run = Run()
    meter = run.meter()
    for event in run.round(1, steps=4, purpose="final", cache="off"):
        meter(event)
    assert run.kept == [("off", 2.0, 4.0, "cpu", None)]
    for first, stages_s in ((9, 3 + 1 + 5 + 1), (7, 3 + 3 + 5 + 1)):
        meter(ControlStarted(CONTROL, 10))
        meter(StageStarted(CONTROL, "denoise"))
        for step in range(first, 11):  # the first of them ends soon after the loop has asked
            meter(StepDone(CONTROL, step, 10))
            assert meter.seconds_left() == pytest.approx((10 - step) * 2 + stages_s)
            run.now += 0.01 if step == first else 2.0
        for stage in ("denoise", "decode", "encode"):
            meter(StageDone(CONTROL, stage, 3.0))  # type: ignore[arg-type]
    assert run.kept[1:] == [("off", 2.0, 6.0, "cpu", None)], "only where two whole steps were seen to end"


def test_loading_and_judges_are_counted_and_the_time_left_runs_down() -> None:
    run = Run()
    judges = {"caption": 5.0, "score": 1.0, "mismatch": 2.0, "refine": 3.0}
    meter = run.meter(expected=Speed(2.0, 1.0, 4.0, load_s=24.0), judges=judges)
    first, last = 4 * 1 + 4 + 11, 10 * 2 + 4 + 6  # no prompt comes after the last
    assert meter.seconds_left() == pytest.approx(24 + first + last)
    meter(LoadStarted())
    run.now += 14
    assert meter.seconds_left() == pytest.approx(10 + first + last)
    run.now += 20
    assert meter.seconds_left() == pytest.approx(first + last), "never less than what comes after it"
    meter(GeneratorReady({"cache": "off", "device": "cpu"}))
    meter(RoundStarted(RoundId(1), 2, 4, "draft", "a ball"))
    meter(StageStarted(RoundId(1), "denoise"))
    run.now += 0.5
    assert meter.seconds_left() == pytest.approx(first + last - 0.5), "also within a step"
    run.now += 30
    assert meter.seconds_left() == pytest.approx(first + last - 1)
    meter(StageStarted(RoundId(1), "decode"))
    run.now += 3
    assert meter.seconds_left() == pytest.approx(4 + 11 + last - 3)


def test_what_loading_and_judges_took_is_kept() -> None:
    run = Run()
    meter = run.meter()
    run.now += 3  # the analysis, while the generator loads
    meter(LoadStarted())
    run.now += 20
    meter(GeneratorReady({"cache": "off", "device": "cpu"}))
    for event in run.round(1, steps=4, purpose="draft", cache="off"):
        meter(event)
    assert run.kept == [("off", 1.0, 4.0, "cpu", 23.0)]
    assert run.judged == [{"caption": 5.0, "score": 1.0}]


def test_a_generator_that_is_there_already_was_not_loaded() -> None:
    run = Run()
    meter = run.meter()
    meter(LoadStarted())
    meter(GeneratorReady({"cache": "off", "device": "cpu"}))
    for event in run.round(1, steps=4, purpose="draft", cache="off"):
        meter(event)
    assert run.kept == [("off", 1.0, 4.0, "cpu", None)]


def test_the_share_of_the_run_counts_loading_judges_and_what_was_done_before() -> None:
    run = Run()
    meter = run.meter(expected=Speed(2.0, 1.0, 3.0, load_s=10.0), judges={"score": 2.0})
    assert Run().meter().share_done() is None, "nothing is known"
    assert meter.share_done() == 0
    left = 4 * 1 + 10 * 2 + 2 * (3 + 2)
    run.now += 5  # half of the loading
    assert meter.share_done() == pytest.approx(5 / (10 + left))
    meter(RoundStarted(RoundId(1), 2, 4, "draft", "a ball"))
    meter(RoundDone(RoundId(1), "draft", 9, Scores(1, 1), None, None, ()))  # by an earlier attempt
    meter(RoundStarted(RoundId(2), 2, 10, "final", "a ball"))
    left = 5 + 10 * 2 + 3 + 2
    assert meter.share_done() == pytest.approx((9 + 5) / (9 + 5 + left))


def test_steps_that_are_left_out_count_as_done_in_between() -> None:
    now = 0.0
    meter = Meter(PLANNED, clock=lambda: now, hears_each_step=False)
    meter(RoundStarted(RoundId(1), 2, 4, "draft", "a ball"))
    meter(StageStarted(RoundId(1), "denoise"))
    for step in (1, 3):
        now += 5.0
        meter(StepDone(RoundId(1), step, 4))
    assert meter.seconds_left() == pytest.approx((1 + 10) * 2.5)
