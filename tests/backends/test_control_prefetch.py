"""The control is denoised while the final is judged, equals one that was not, and is never in the way."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.backends import prefetch
from phyt2v_cli.backends.prefetch import ControlPrefetcher, PrefetchingGenerator, is_worth_it
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.roles import (
    DenoisingStep,
    Latents,
    OnStep,
    VideoGenerator,
)
from phyt2v_cli.testing.fakes import FakeGenerator, FakeRoles
from tests.fake_runs import PROMPT, make_config
from tests.held_up_pipeline import Pipeline, end_once_unwanted, wait_until

REFINED = "a red ball falls and bounces"
STEPS = 6


def nobody(_step: DenoisingStep) -> None:
    pass


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
    end_once_unwanted(pipeline)
    render(generator, prompt, seed=seed, draft=draft)
    assert pipeline.beside == [1, 2]
    if not draft:
        pipeline.allow(STEPS)  # a final with another seed: the control begins anew
        assert pipeline.denoised[-1] == (PROMPT, 0, STEPS)


def test_decoding_stops_it_first() -> None:
    pipeline = Pipeline()
    generator = begun(pipeline)
    end_once_unwanted(pipeline)
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


def test_a_control_begins_with_the_picture_of_its_run(tmp_path: Path) -> None:
    one, other = tmp_path / "1.png", tmp_path / "2.png"
    for path in (one, other):
        path.write_text(path.name)
    pipeline = Pipeline()
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0, image=one)

    def denoise(prompt: str, image: Path) -> None:
        latents = generator.denoise(
            prompt, seed=0, num_inference_steps=STEPS, on_step=nobody, image=image
        ).latents
        generator.decode(latents)

    denoise(REFINED, one)
    wait_until(pipeline.at_work.locked)
    pipeline.allow(STEPS)
    denoise(PROMPT, one)
    assert (pipeline.images, len(pipeline.beside)) == ([one, one], STEPS)
    generator = ControlPrefetcher(PrefetchingGenerator(pipeline), PROMPT, 0, image=one)
    denoise(REFINED, one)
    wait_until(pipeline.at_work.locked)
    end_once_unwanted(pipeline)
    denoise(PROMPT, other)  # of another run, whose picture it is not
    assert pipeline.images[-1] == other


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
