"""Roles in workers of a real local Ray, on the embedded model and on programs."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from phyt2v_cli import Studio
from phyt2v_cli.backends import load_generator
from phyt2v_cli.backends.cluster.connection import start_local
from phyt2v_cli.backends.cluster.factory import ClusterRoles
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError, RunInterruptedError
from phyt2v_cli.events import Event, StepDone
from phyt2v_cli.roles import DenoisingStep, VideoGenerator
from tests.backends.cluster.ray_processes import PATIENCE_S, workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    start_local(num_cpus=4)
    yield
    ray.shutdown()


def config_of(**changes: Any) -> Config:
    return Config.model_validate(
        {
            "llm": {"backend": "rulebook"},
            "captioner": {"backend": "tracker"},
            "scorer": {"backend": "tracker"},
            "execution": {"executor": "ray", "workers": 2},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def roles(_ray: None) -> Iterator[ClusterRoles]:
    made = ClusterRoles(config_of())
    yield made
    made.close()


@pytest.fixture(scope="module")
def generator(roles: ClusterRoles) -> VideoGenerator:
    return roles.load_generator(GeneratorConfig())


def test_pixels_are_those_of_this_process(generator: VideoGenerator) -> None:
    here = load_generator(GeneratorConfig())
    assert generator.fps == here.fps
    options: dict[str, Any] = {"seed": 3, "num_inference_steps": 4}
    steps: list[DenoisingStep] = []
    there = generator.denoise("a red ball drops", on_step=steps.append, **options)
    alone = here.denoise("a red ball drops", on_step=lambda _: None, **options)
    np.testing.assert_array_equal(there.latents, alone.latents)
    assert there.how == alone.how
    assert steps[-1].number == 4
    frames = generator.decode(there.latents).frames
    np.testing.assert_array_equal(frames, here.decode(alone.latents).frames)
    long = "ball " * 100
    assert generator.count_excess_tokens(long) == here.count_excess_tokens(long) > 0


def test_a_killed_worker_is_replaced_and_its_video_rendered_elsewhere(
    roles: ClusterRoles, generator: VideoGenerator
) -> None:
    options: dict[str, Any] = {"seed": 5, "num_inference_steps": 40}
    undisturbed = generator.denoise("a blue ball drops", on_step=lambda _: None, **options)
    killed: list[int] = []

    def kill_once(step: DenoisingStep) -> None:
        if not killed and step.number < 40:
            # The busy one is the one that has used the processor last.
            killed.append(max(workers(), key=_cpu_time))
            os.kill(killed[0], signal.SIGKILL)

    disturbed = generator.denoise("a blue ball drops", on_step=kill_once, **options)
    assert killed
    np.testing.assert_array_equal(disturbed.latents, undisturbed.latents)
    deadline = time.monotonic() + PATIENCE_S
    while roles.turns.num_places < 2:  # Ray has started another, and it has loaded
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_video_that_kills_each_worker_fails_alone(generator: VideoGenerator) -> None:
    def kill(_: DenoisingStep) -> None:
        os.kill(max(workers(), key=_cpu_time), signal.SIGKILL)

    with pytest.raises(BackendError, match="4 workers in a row were lost while they worked"):
        generator.denoise("a ball", seed=1, num_inference_steps=900, on_step=kill)
    assert generator.denoise("a ball", seed=1, num_inference_steps=2, on_step=lambda _: None).latents.size


def test_cancelling_ends_the_denoising_there(generator: VideoGenerator) -> None:
    steps: list[DenoisingStep] = []
    with pytest.raises(RunInterruptedError):
        generator.denoise(
            "a ball", seed=1, num_inference_steps=900, on_step=steps.append, cancelled=lambda: bool(steps)
        )
    assert steps[-1].number < 900


def test_an_error_of_a_listener_ends_the_denoising(generator: VideoGenerator) -> None:
    def fail(_: DenoisingStep) -> None:
        raise ValueError("of the listener")

    with pytest.raises(ValueError, match="of the listener"):
        generator.denoise("a ball", seed=1, num_inference_steps=900, on_step=fail)


def test_a_worker_that_finds_no_model_says_so(_ray: None, tmp_path: Path) -> None:
    roles = ClusterRoles(config_of())
    with pytest.raises(ModelLoadError, match="gone"):
        roles.load_generator(GeneratorConfig(model=str(tmp_path / "gone")))
    roles.close()


def test_more_gpus_than_there_are_and_cuda_without_any(_ray: None) -> None:
    with pytest.raises(ConfigError, match=r"^execution.gpus: 3 are wanted, and the cluster has 0"):
        ClusterRoles(config_of(execution={"executor": "ray", "gpus": 3}))
    with pytest.raises(ConfigError, match=r"^generator.device: no worker of the cluster has a GPU"):
        ClusterRoles(config_of(generator={"device": "cuda"}))


SCORER = """
import json, os, sys
asked = json.loads(sys.stdin.readline())
assert open(asked["video"], "rb").read(8)[4:] == b"ftyp"
print(json.dumps({"semantic_adherence": 0.25, "physical_commonsense": 0.75, "reasons": [str(os.getppid())]}))
"""


def test_judges_that_are_programs_and_local_models_have_workers_of_their_own(
    _ray: None, tmp_path: Path, tiny_llama_dir: Path
) -> None:
    program = tmp_path / "scorer.py"
    program.write_text(SCORER)
    config = config_of(
        scorer={"backend": "command", "command": [sys.executable, str(program)]},
        llm={"backend": "transformers", "model": str(tiny_llama_dir), "max_tokens": 8, "device": "cpu"},
        schedule={"steps": (2,)},
        refinement={"rounds": 0},
    )
    roles = ClusterRoles(config)
    (scorer,) = roles.make_scorers(config.scorer)
    video = tmp_path / "v.mp4"
    with Studio(config=config_of()) as studio:
        studio.generate("a ball", out=video, steps=2)
    scores = scorer.score(video, "a ball")
    assert (scores.semantic_adherence, scores.physical_commonsense) == (0.25, 0.75)
    assert int(scores.reasons[0]) in workers("JudgeWorker")
    assert scorer.name == "command:python3" or scorer.name.startswith("command:python")
    roles.make_chat_model(config.llm).probe()  # type: ignore[attr-defined]
    roles.close()


def test_a_single_run_works_in_workers_too(_ray: None, tmp_path: Path) -> None:
    events: list[Event] = []
    with Studio(config=config_of(schedule={"steps": (2, 3)}, refinement={"rounds": 1})) as studio:
        result = studio.refine("a red ball drops", out=tmp_path / "run", on_event=events.append)
    assert result.video.is_file()
    assert [one.steps for one in result.rounds] == [2, 3]
    assert any(isinstance(event, StepDone) for event in events)


def _cpu_time(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
