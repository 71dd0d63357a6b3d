"""Workers move to the role whose stage is slowest, on a local Ray that is told of GPUs that it has not."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from phyt2v_cli.backends.cluster.connection import start_local
from phyt2v_cli.backends.cluster.factory import ClusterRoles
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.roles import Decoded, Denoised, Latents
from tests.backends.cluster.ray_processes import PATIENCE_S, workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("ray"),
]

SCORER = """
import sys, time
sys.stdin.readline()
time.sleep(0.6)
print('{"semantic_adherence": 0.5, "physical_commonsense": 0.5}')
"""


class Quick:
    """A generator that takes a tenth of a second."""

    fps = 8
    settings: dict[str, str] = {"device": "none"}  # noqa: RUF012  part of the protocol

    def count_excess_tokens(self, prompt: str) -> int:
        return len(prompt) * 0

    def denoise(self, prompt: str, **_: Any) -> Denoised:
        time.sleep(0.1)
        return Denoised(np.full((1, 4, 2, 8, 8), len(prompt), np.float32), self.settings)

    def decode(self, latents: Latents) -> Decoded:
        return Decoded(np.zeros((9, 64, 64, 3), np.uint8) + len(latents), self.settings)


def load_quick(_: GeneratorConfig, *, num_planned_steps: int = 0) -> Quick:
    assert num_planned_steps >= 0
    return Quick()


@pytest.fixture(scope="module", autouse=True)
def _ray_with_four_gpus() -> Iterator[None]:
    # Workers find no tests, so these are sent to them.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    start_local(num_cpus=8, num_gpus=4)
    yield
    ray.shutdown()


def config_of(program: Path, **execution: object) -> Config:
    return Config.model_validate(
        {
            "llm": {"backend": "rulebook"},
            "captioner": {"backend": "tracker"},
            "scorer": {"backend": "command", "command": [sys.executable, str(program)], "device": "cuda"},
            "execution": {"executor": "ray", **execution},
        }
    )


def wait_for(roles: ClusterRoles, num_generators: int, num_judges: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (roles.turns.num_places, len(workers("JudgeWorker"))) != (num_generators, num_judges):
        assert time.monotonic() < deadline, (roles.turns.num_places, workers("JudgeWorker"))
        time.sleep(0.1)


def test_gpus_move_to_the_slower_stage(tmp_path: Path) -> None:
    program = tmp_path / "scorer.py"
    program.write_text(SCORER)
    video = tmp_path / "v.mp4"
    video.write_bytes(b"no matter")
    config = config_of(program)
    roles = ClusterRoles(config, load_in_worker=load_quick)
    (scorer,) = roles.make_scorers(config.scorer)
    generator = roles.load_generator(config.generator)
    wait_for(roles, 3, 1)  # as guessed: rendering takes longer
    for number in range(16):
        latents = generator.denoise(
            "a ball", seed=number, num_inference_steps=1, on_step=lambda _: None
        ).latents
        scorer.score(video, "a ball")
        assert generator.decode(latents).frames.shape == (9, 64, 64, 3)
    wait_for(roles, 1, 3)  # as measured
    roles.close()


def test_too_few_gpus_for_one_of_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^execution.gpus: 1 too few for one worker of each"):
        ClusterRoles(config_of(tmp_path, gpus=1))
    shared = config_of(tmp_path, gpus=1, gpus_per_generator=0.6, gpus_per_judge=0.4)
    ClusterRoles(shared).close()
