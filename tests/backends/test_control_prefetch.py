"""The control is denoised while the final is judged, equals one that was not, and is never in the way."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.backends import prefetch
from phyt2v_cli.backends.guard import GeneratorWrapper
from phyt2v_cli.backends.prefetch import ControlPrefetcher, PrefetchingGenerator, is_worth_it
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.events import Event, Notice, StepDone
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    OnStep,
    Roles,
    VideoGenerator,
    never_cancelled,
)
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator, FakeRoles
from phyt2v_cli.video_id import CONTROL
from tests.fake_runs import PROMPT, make_config, open_run, run_through
from tests.faults.processes import outcome
from tests.tiny_generators import make_generator

REFINED = "a red ball falls and bounces"
STEPS = 6
WAIT_S = 20


def nobody(_step: DenoisingStep) -> None:
    pass


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@dataclass
class Pipeline(FakeGenerator):
    """One critical section, whose threads do as many steps beside the loop as `allow` lets them."""

    allowed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    beside: list[int] = field(default_factory=list)
    """Steps done beside the loop."""
    error: Exception | None = None
    """What such a thread raises at its end."""
    at_work: threading.Lock = field(default_factory=threading.Lock)

    def denoise(
        self,
        prompt: str,
        *,
        seed: int,
        num_inference_steps: int,
        on_step: OnStep,
        cancelled: Cancelled = never_cancelled,
        draft: bool = False,
    ) -> Denoised:
        is_beside = threading.current_thread() is not threading.main_thread()

        def after_step(step: DenoisingStep) -> None:
            if is_beside:
                assert self.allowed.acquire(timeout=WAIT_S)
            on_step(step)
            if is_beside:
                self.beside.append(step.number)

        assert self.at_work.acquire(blocking=False), "two at once"
        try:
            denoised = super().denoise(
                prompt,
                seed=seed,
                num_inference_steps=num_inference_steps,
                on_step=after_step,
                cancelled=cancelled,
                draft=draft,
            )
            if is_beside and self.error is not None:
                raise self.error
            return denoised
        finally:
            self.at_work.release()

    def decode(self, latents: Latents) -> Decoded:
        assert self.at_work.acquire(blocking=False), "two at once"
        self.at_work.release()
        return super().decode(latents)

    def allow(self, num_steps: int) -> None:
        """Let so many more steps be done, and wait until they are."""
        reached = len(self.beside) + num_steps
        self.allowed.release(num_steps)
        wait_until(lambda: len(self.beside) == reached)


def end_once_unwanted(pipeline: Pipeline, generator: PrefetchingGenerator) -> None:
    """Let what was begun do one more step, and end there, as soon as somebody has asked it to."""
    denoising = generator._begun
    assert denoising is not None

    def end() -> None:
        wait_until(lambda: not denoising._is_wanted)
        pipeline.allowed.release()

    threading.Thread(target=end, daemon=True).start()


def render(generator: VideoGenerator, prompt: str, *, seed: int = 0, draft: bool = False) -> None:
    generator.decode(
        generator.denoise(prompt, seed=seed, num_inference_steps=STEPS, on_step=nobody, draft=draft).latents
    )


def control(generator: VideoGenerator, on_step: OnStep = nobody) -> Latents:
    return generator.denoise(PROMPT, seed=0, num_inference_steps=STEPS, on_step=on_step).latents


def begun(pipeline: Pipeline) -> ControlPrefetcher:
    """Return a generator whose final is decoded, so that the control has begun."""
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0)
    render(generator, REFINED)
    wait_until(pipeline.at_work.locked)
    return generator


def test_steps_that_were_done_beside_are_told_at_once_and_the_others_as_they_happen() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    pipeline.allow(3)
    told: list[tuple[int, int, bool]] = []

    def on_step(step: DenoisingStep) -> None:
        told.append((step.number, step.total, threading.current_thread() is threading.main_thread()))
        pipeline.allowed.release()

    latents = control(generator, on_step)
    assert told == [(step, STEPS, True) for step in (3, 4, 5, 6)]
    assert np.array_equal(latents, control(FakeGenerator()))
    assert pipeline.denoised == [(REFINED, 0, STEPS), (PROMPT, 0, STEPS)]
    render(generator, PROMPT, seed=7)
    assert len(pipeline.denoised) == 3, "a control with another seed begins nothing"


def test_what_is_done_is_handed_over_whole_and_once() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    pipeline.allow(STEPS)
    told: list[int] = []
    first = control(generator, lambda step: told.append(step.number))
    assert told == [STEPS]
    assert np.array_equal(control(generator), first)
    assert len(pipeline.denoised) == 3


def test_a_failure_is_raised_by_who_asks() -> None:
    pipeline = Pipeline(error=BackendError("out of memory"))
    generator = begun(pipeline)
    pipeline.allow(STEPS)
    with pytest.raises(BackendError, match="out of memory"):
        control(generator)
    control(generator)  # by itself, and well


def test_a_stop_between_its_steps_is_obeyed_at_once() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    pipeline.allow(2)

    def stop(_step: DenoisingStep) -> None:
        raise RunInterruptedError("stopped")

    with pytest.raises(RunInterruptedError):
        control(generator, stop)
    assert pipeline.at_work.locked(), "nobody waited for its next step"
    pipeline.allowed.release()
    wait_until(lambda: not pipeline.at_work.locked())
    assert pipeline.beside == [1, 2, 3]
    assert np.array_equal(control(generator), control(FakeGenerator()))


@pytest.mark.parametrize(("prompt", "seed", "draft"), [(REFINED, 5, False), (PROMPT, 0, True)])
def test_anything_else_stops_it_first(prompt: str, seed: int, draft: bool) -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    pipeline.allow(1)
    end_once_unwanted(pipeline, generator._generator)
    render(generator, prompt, seed=seed, draft=draft)
    assert pipeline.beside == [1, 2]
    if not draft:
        pipeline.allow(STEPS)  # a final with another seed: the control begins anew
        assert pipeline.denoised[-1] == (PROMPT, 0, STEPS)


def test_decoding_stops_it_first() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    end_once_unwanted(pipeline, generator._generator)
    generator.decode(control(FakeGenerator()))
    assert pipeline.beside == [1]
    assert not pipeline.at_work.locked()


@pytest.mark.parametrize(("prompt", "draft"), [(REFINED, True), (PROMPT, False)])
def test_a_draft_and_the_control_itself_begin_nothing(prompt: str, draft: bool) -> None:
    pipeline = Pipeline()
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0)
    render(generator, prompt, draft=draft)
    generator.decode(control(FakeGenerator()))
    assert len(pipeline.denoised) == 1


def test_a_final_after_one_of_the_controls_own_begins_nothing() -> None:
    pipeline = Pipeline()
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0)
    render(generator, PROMPT)
    render(generator, REFINED)
    generator.decode(control(FakeGenerator()))
    assert len(pipeline.denoised) == 2


def test_only_the_decoding_after_a_final_begins_it() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    pipeline.allow(STEPS)
    generator.decode(control(FakeGenerator()))  # of a control whose latents were kept
    assert len(pipeline.denoised) == 2


def test_what_a_call_did_is_in_what_it_returns_whatever_happens_beside_it() -> None:
    pipeline = Pipeline()
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0)
    final = generator.denoise(REFINED, seed=0, num_inference_steps=STEPS, on_step=nobody)
    decoded = generator.decode(final.latents)
    wait_until(pipeline.at_work.locked)
    pipeline.settings = {"offload": "model"}  # memory ran out beside
    pipeline.allow(STEPS)
    begun = generator.denoise(PROMPT, seed=0, num_inference_steps=STEPS, on_step=nobody)
    assert final.how == decoded.how == {"offload": "none"}
    assert begun.how == {"offload": "model"}
    assert (generator.fps, generator.count_excess_tokens("word " * 61)) == (8, 1)


ON_GPU = {"device": "cuda"}


@pytest.mark.parametrize(
    ("captioner", "scorer", "other", "settings", "is_wanted", "expected"),
    [
        ("openai", "openai", "openai", ON_GPU, True, True),
        ("tracker", "tracker", "openai", ON_GPU, True, True),
        ("openai", "openai", "openai", ON_GPU, False, False),
        ("openai", "openai", "openai", {"device": "cpu"}, True, False),
        ("transformers", "openai", "openai", ON_GPU, True, False),
        ("openai", "transformers", "openai", ON_GPU, True, False),
        ("openai", "openai", "command", ON_GPU, True, False),
    ],
)
def test_it_is_for_an_accelerator_that_would_idle(
    captioner: str, scorer: str, other: str, settings: dict[str, str], is_wanted: bool, expected: bool
) -> None:
    others = [{"backend": other, "model": "m", "command": ["true"]}]
    config = Config.model_validate(
        {
            "captioner": {"backend": captioner, "model": "m"},
            "scorer": {"backend": scorer, "model": "m", "others": others},
            "refinement": {"control": is_wanted},
        }
    )
    assert is_worth_it(config, settings) == expected


def test_a_generator_stays_as_it_is_if_nothing_is_worth_beginning() -> None:
    fakes, config = FakeRoles(), make_config(control=True)
    assert prefetch.overlap(config, fakes.roles(), PROMPT).load_generator() is fakes.generator
    idle = PrefetchingGenerator(fakes.generator)
    roles = replace(fakes.roles(), load_generator=lambda: idle)
    assert prefetch.overlap(config, roles, PROMPT).load_generator() is idle, "on a CPU"


class OnGpu(GeneratorWrapper):
    """Says that it runs where it would idle."""

    @property
    def settings(self) -> HowItRan:
        return {**super().settings, "device": "cuda"}

    def denoise(self, *args: Any, **kwargs: Any) -> Denoised:
        return self._wrapped.denoise(*args, **kwargs)

    def decode(self, latents: Latents) -> Decoded:
        return self._wrapped.decode(latents)


ELSEWHERE = {
    "captioner": {"backend": "tracker"},
    "scorer": {"backend": "tracker"},
}


def run(path: Path, cast: FakeRoles, generator: VideoGenerator, emit: Callable[[Event], None]) -> None:
    config = make_config(rounds=1, control=True)
    roles = Roles(lambda: generator, cast.llm, cast.captioner, [cast.scorer])
    with open_run(path, config) as opened:
        elsewhere = Config.model_validate(config.model_dump(exclude_defaults=True) | ELSEWHERE)
        roles = prefetch.overlap(elsewhere, roles, PROMPT)
        refine(opened, roles, emit=emit, cancelled=lambda: any(e == "stop" for e in cast.events))


def control_steps(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, StepDone) and event.video == CONTROL]


@pytest.mark.parametrize(
    "settings",
    [{}, pytest.param({"device": "cuda", "compile": "on", "offload": "none"}, marks=pytest.mark.gpu)],
)
def test_a_run_leaves_the_same_files(
    settings: dict[str, str], tmp_path: Path, tiny_cogvideox_dir: Path
) -> None:
    def short_refined() -> FakeRoles:  # the tiny text encoder reads 31 letters
        return FakeRoles(llm=FakeChat({"refinement": [json.dumps({"prompt": "a ball falls and bounces"})]}))

    plain, beside = short_refined(), short_refined()
    run(tmp_path / "plain", plain, make_generator(tiny_cogvideox_dir, **settings), plain.events.append)

    class SlowCaptioner:
        """Looks at the final until the control is denoised."""

        def caption(self, video_path: Path, instruction: str) -> str:
            for thread in threading.enumerate():
                if thread.name == "denoise the control":
                    thread.join(WAIT_S)
            return plain.captioner.caption(video_path, instruction)

    beside.captioner = SlowCaptioner()  # type: ignore[assignment]
    generator = PrefetchingGenerator(OnGpu(make_generator(tiny_cogvideox_dir, **settings)))
    run(tmp_path / "beside", beside, generator, beside.events.append)
    assert control_steps(plain.events) == [1, 2, 3, 4, 5, 6]
    assert control_steps(beside.events) == [6]
    assert outcome(tmp_path / "beside") == outcome(tmp_path / "plain")


class ImpatientCaptioner:
    """Fails at the final, or lets two steps of the control be done beside it."""

    def __init__(self, cast: FakeRoles, pipeline: Pipeline, *, fails: bool = False) -> None:
        self.caption_at_last, self.pipeline, self.fails = cast.captioner.caption, pipeline, fails

    def caption(self, video_path: Path, instruction: str) -> str:
        if video_path.name == "output2.mp4":
            self.pipeline.allow(2)
            if self.fails:
                raise BackendError("no answer")
        return self.caption_at_last(video_path, instruction)


def test_a_run_that_was_stopped_in_the_control_goes_on(tmp_path: Path) -> None:
    run_through(tmp_path / "whole", make_config(rounds=1, control=True))
    cast, pipeline, events = FakeRoles(), Pipeline(), list[Event]()
    cast.captioner = ImpatientCaptioner(cast, pipeline)  # type: ignore[assignment]

    def emit(event: Event) -> None:
        events.append(event)
        if control_steps(events):
            cast.events.append("stop")  # type: ignore[arg-type]

    generator = PrefetchingGenerator(OnGpu(pipeline))
    with pytest.raises(RunInterruptedError):
        run(tmp_path / "run", cast, generator, emit)
    assert control_steps(events) == [2]
    end_once_unwanted(pipeline, generator)

    again = FakeRoles()
    run(tmp_path / "run", again, generator, again.events.append)
    assert control_steps(again.events) == [1, 2, 3, 4, 5, 6], "denoised where the loop asked for it"
    assert len(pipeline.denoised) == 4, "and the control alone"
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_run_that_failed_is_not_in_the_way_of_the_next_one(tmp_path: Path) -> None:
    run_through(tmp_path / "whole", make_config(rounds=1, control=True))
    pipeline = Pipeline()
    generator = PrefetchingGenerator(OnGpu(pipeline))
    failing, passing = FakeRoles(), FakeRoles()
    failing.captioner = ImpatientCaptioner(failing, pipeline, fails=True)  # type: ignore[assignment]
    passing.captioner = ImpatientCaptioner(passing, pipeline)  # type: ignore[assignment]
    with pytest.raises(BackendError):
        run(tmp_path / "failed", failing, generator, failing.events.append)
    assert pipeline.at_work.locked()
    end_once_unwanted(pipeline, generator)

    def emit(event: Event) -> None:
        passing.events.append(event)
        if control_steps(passing.events):
            pipeline.allowed.release()

    run(tmp_path / "run", passing, generator, emit)
    assert control_steps(passing.events) == [2, 3, 4, 5, 6]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_final_without_a_picture_is_rendered_again_before_the_control(tmp_path: Path) -> None:
    @dataclass
    class Blind(Pipeline):
        def decode(self, latents: Latents) -> Decoded:
            decoded = super().decode(latents)
            self.decoded = getattr(self, "decoded", 0) + 1
            return replace(decoded, frames=decoded.frames * np.uint8(self.decoded != 2))

    plain, beside, pipeline = FakeRoles(generator=Blind()), FakeRoles(), Blind()
    run(tmp_path / "plain", plain, plain.generator, plain.events.append)
    beside.captioner = ImpatientCaptioner(beside, pipeline)  # type: ignore[assignment]
    generator = PrefetchingGenerator(OnGpu(pipeline))

    def emit(event: Event) -> None:
        beside.events.append(event)
        if isinstance(event, Notice):
            end_once_unwanted(pipeline, generator)
        if control_steps(beside.events):
            pipeline.allowed.release()

    run(tmp_path / "beside", beside, generator, emit)
    assert [steps for _, _, steps in pipeline.denoised] == [3, 6, 6, 6, 6], "two controls were begun"
    assert control_steps(beside.events) == [2, 3, 4, 5, 6]
    assert outcome(tmp_path / "beside") == outcome(tmp_path / "plain")
