"""Roles made in another process from their section of the config: what goes in and comes out crosses, with
spawn."""

import multiprocessing
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli import backends
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.refinement.prompts import analysis_request
from phyt2v_cli.roles import ChatReply, Decoded, Denoised, DenoisingStep, Scores
from tests.scripted_server import ScriptedServer, answer_of_any_task, answer_with
from tests.server_clients import set_key
from tests.tiny_generators import denoise, make_generator

SPAWN = multiprocessing.get_context("spawn")
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def call() -> Iterator[Callable[..., Any]]:
    """Call a function of this module in a process that shares nothing with this one but the environment."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, mp_context=SPAWN) as process:
        set_key(patch)
        yield lambda function, *args: process.submit(function, *args).result(TIMEOUT_S)


def section_of(folder: Path) -> GeneratorConfig:
    return GeneratorConfig(model=str(folder), num_frames=9, height=16, width=16, device="cpu")


def render(config: GeneratorConfig, steps: Any, cancelled: Any) -> tuple[Denoised, Decoded]:
    generator = backends.load_generator(config, num_planned_steps=4)
    denoised = generator.denoise(
        "a ball drops",
        seed=0,
        num_inference_steps=4,
        on_step=steps.put,
        cancelled=cancelled.is_set,
    )
    return denoised, generator.decode(denoised.latents)


@pytest.mark.slow
def test_a_generator_renders_there_what_it_would_here(
    tiny_cogvideox_dir: Path, call: Callable[..., Any]
) -> None:
    with SPAWN.Manager() as manager:
        steps, cancelled = manager.Queue(), manager.Event()
        denoised, decoded = call(render, section_of(tiny_cogvideox_dir), steps, cancelled)
        told = [steps.get() for _ in range(4)]
    here = make_generator(tiny_cogvideox_dir)
    np.testing.assert_array_equal(denoised.latents, denoise(here))
    np.testing.assert_array_equal(decoded.frames, here.decode(denoised.latents).frames)
    assert told == [DenoisingStep(number, 4, told[0].how) for number in (1, 2, 3, 4)]
    assert told[0].how == denoised.how
    assert denoised.how["solver"] == "ExactCogVideoXDDIMScheduler"


@pytest.mark.slow
def test_it_is_cancelled_from_here(tiny_cogvideox_dir: Path, call: Callable[..., Any]) -> None:
    with SPAWN.Manager() as manager:
        steps, cancelled = manager.Queue(), manager.Event()
        cancelled.set()
        with pytest.raises(RunInterruptedError, match="stopped"):
            call(render, section_of(tiny_cogvideox_dir), steps, cancelled)
        assert steps.qsize() == 1, "asked after the first step"


def reply(config: LlmConfig) -> ChatReply:
    return backends.make_chat_model(config).reply(analysis_request("a red ball drops"))


def caption(config: CaptionerConfig, video: Path) -> str:
    return backends.make_captioner(config).caption(video, "What is seen?")


def score(config: ScorerConfig, video: Path) -> Scores:
    return backends.make_scorer(config).score(video, "a red ball drops")


def test_the_embedded_judges_say_there_what_they_say_here(video_path: Path, call: Callable[..., Any]) -> None:
    llm, captioner, scorer = (
        LlmConfig(backend="rulebook"),
        CaptionerConfig(backend="tracker"),
        ScorerConfig(backend="tracker"),
    )
    assert call(reply, llm) == reply(llm)
    assert call(caption, captioner, video_path) == caption(captioner, video_path)
    assert call(score, scorer, video_path) == score(scorer, video_path)


def test_judges_on_servers(video_path: Path, call: Callable[..., Any]) -> None:
    with ScriptedServer(answer_with(answer_of_any_task)) as server:
        at = {"backend": "openai", "model": "m", "base_url": server.url, "api_key_env": "CANARY_KEY"}
        assert "the ball" in call(reply, LlmConfig.model_validate(at)).text
        assert call(caption, CaptionerConfig.model_validate(at), video_path) == "It moves."
        assert call(score, ScorerConfig.model_validate(at), video_path).semantic_adherence == 0.5


def test_a_program(tmp_path: Path, video_path: Path, call: Callable[..., Any]) -> None:
    program = tmp_path / "judge"
    program.write_text('#!/bin/sh\necho \'{"semantic_adherence": 0.4, "physical_commonsense": null}\'\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    config = ScorerConfig(backend="command", command=(str(program),))
    assert call(score, config, video_path) == Scores(0.4, None)


@pytest.mark.slow
def test_an_error_comes_back_with_its_hint(video_path: Path, call: Callable[..., Any]) -> None:
    config = ScorerConfig(backend="command", command=("no such program",))
    with pytest.raises(BackendError) as caught:
        call(score, config, video_path)
    assert "there is no program" in caught.value.message
    assert "separate entries" in caught.value.hint
