"""A video on two devices is the video of one, and what cannot be split is refused by name."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phyt2v_cli.backends.acceleration.guidance_split import SplitDenoiser
from phyt2v_cli.backends.acceleration.replicas import Replica
from phyt2v_cli.backends.diffusion import checked
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.roles import Denoised
from tests.tiny_families import (
    save_allegro,
    save_anyflow,
    save_hunyuan,
    save_hunyuan_15,
    save_latte,
    save_sana_video,
    save_skyreels,
)
from tests.tiny_generators import OUT_OF_MEMORY, failing
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_mochi, save_wan

CPU = torch.device("cpu")
TINY = {"num_frames": 9, "height": 16, "width": 16}
SMALL = {"num_frames": 5, "height": 16, "width": 16}


@dataclass(frozen=True)
class Case:
    """A family at its smallest."""

    name: str
    save: Callable[[Path], Path]
    settings: Mapping[str, Any]
    is_in_two_calls: bool = False


CASES = [
    Case("cogvideox", save_cogvideox, TINY),
    Case("ltx", save_ltx, {"num_frames": 9, "height": 32, "width": 32}),
    Case("mochi", save_mochi, {"num_frames": 7, "height": 16, "width": 16}),
    Case("wan", save_wan, SMALL, is_in_two_calls=True),
    Case("wan-two", partial(save_wan, two_transformers=True), SMALL, is_in_two_calls=True),
    Case("skyreels", save_skyreels, TINY, is_in_two_calls=True),
    Case("anyflow", save_anyflow, {**TINY, "guidance_scale": 4.0}),
    Case("sana-video", save_sana_video, {"num_frames": 9, "height": 32, "width": 64}),
    Case("allegro", save_allegro, {"num_frames": 24, "height": 128, "width": 128}),
    Case("latte", save_latte, {"num_frames": 16, "height": 16, "width": 16}),
    Case(
        "hunyuan",
        save_hunyuan,
        {**SMALL, "true_cfg_scale": 4.0, "negative_prompt": "bad"},
        is_in_two_calls=True,
    ),
    Case("hunyuan-1.5", save_hunyuan_15, SMALL, is_in_two_calls=True),
]


FAST = ("cogvideox", "ltx", "wan", "wan-two")


@pytest.fixture(
    params=[
        pytest.param(case, id=case.name, marks=() if case.name in FAST else pytest.mark.slow)
        for case in CASES
    ]
)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def config(case: Case, tmp_path: Path) -> GeneratorConfig:
    return config_of(case.save(tmp_path / "model"), **case.settings)


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **TINY, **settings})


def load_split(config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch) -> DiffusersGenerator:
    """Load as with a second GPU, which is the CPU once more."""
    monkeypatch.setattr(checked, "choose_other_gpus", lambda *_, **__: (CPU,))
    return load(config)


def denoise(
    generator: DiffusersGenerator, steps: int = 4, *, prompt: str = "a ball drops", **options: Any
) -> Denoised:
    options = {"seed": 3, "on_step": lambda _: None} | options
    return generator.denoise(prompt, num_inference_steps=steps, **options)


class Calls:
    """Batch sizes and threads of a denoiser's calls."""

    def __init__(self, owner: Any) -> None:
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self._forward = owner.forward
        owner.forward = self

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        self.batches.append((inputs["hidden_states"] if "hidden_states" in inputs else args[0]).shape[0])
        self.threads.add(threading.current_thread().name)
        return self._forward(*args, **inputs)


def test_two_devices_make_the_video_of_one(config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = denoise(load(config))
    generator = load_split(config, monkeypatch)
    shared = denoise(generator)
    # Not always the same bytes: on a CPU a batch of two may go through other kernels than one.
    assert np.linalg.norm(shared.latents - alone.latents) <= 1e-5 * np.linalg.norm(alone.latents)
    assert (shared.how["gpus"], shared.how["guidance_split"]) == ("2", "on")
    assert "gpus" not in alone.how
    assert "guidance_split" not in alone.how
    np.testing.assert_array_equal(denoise(generator).latents, shared.latents)


def test_each_device_computes_one_branch(
    case: Case, config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_split(config, monkeypatch)
    there = [Calls(replica.module) for shared in generator.shared for replica in shared.replicas]
    steps = 6
    denoise(generator, steps)
    denoise(generator, steps, prompt="a cube slides")  # what was learnt of one video is not tried on the next
    batches = [size for calls in there for size in calls.batches]
    assert set(batches) == {1}
    # Of two calls the first step of each denoiser teaches which are the second's inputs.
    assert len(batches) == 2 * (steps - len(there) if case.is_in_two_calls else steps)
    assert all(name.startswith("denoise on") for calls in there for name in calls.threads)


class Denoiser(torch.nn.Module):
    """Denoiser whose output tells all of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
        unknown: torch.Tensor | None = None,
        return_dict: bool = True,  # noqa: ARG002
    ) -> tuple[torch.Tensor]:
        total = hidden_states * self.weight
        for one in (timestep, encoder_hidden_states, unknown, *(image_rotary_emb or ())):
            total = total + (0 if one is None else one.sum())
        return (total,)


def test_a_wrong_guess_is_never_used() -> None:
    plain, denoiser = Denoiser(), Denoiser()
    split = SplitDenoiser(denoiser, Replica(denoiser, CPU, "a branch"))
    texts = [torch.full((1, 2), float(n)) for n in range(4)]
    for step in range(6):
        x, t = torch.full((1, 3), 10.0 * step), torch.tensor([float(step)])
        # The second text changes in the middle, and once there is a call more.
        for text in (texts[0], texts[1 if step < 3 else 2], *((texts[3],) if step == 4 else ())):
            inputs = {"hidden_states": x, "timestep": t, "encoder_hidden_states": text, "return_dict": False}
            assert torch.equal(denoiser(**inputs)[0], plain(**inputs)[0])
    assert split.end_video()


def test_inputs_that_are_not_known_are_not_split() -> None:
    denoiser = Denoiser()
    replica = Replica(denoiser, CPU, "a branch")
    SplitDenoiser(denoiser, replica)
    x = torch.rand(2, 3)
    calls = Calls(replica.module)
    known = {
        "hidden_states": x,
        "timestep": torch.rand(2),
        "image_rotary_emb": (torch.rand(2), torch.rand(2)),
    }
    denoiser(**known, return_dict=False)
    assert calls.batches == [1]
    for inputs in ({"unknown": torch.rand(2)}, {"timestep": torch.rand(1)}, {"return_dict": True}):
        denoiser(**{**known, "hidden_states": x.clone(), "return_dict": False, **inputs})
    denoiser(**{**known, "hidden_states": torch.rand(4, 3), "return_dict": False})
    assert calls.batches == [1]


def test_the_second_gpu_without_memory_ends_the_video_and_not_the_generator(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_split(config_of(tiny_cogvideox_dir), monkeypatch)
    (replica,) = generator.shared[0].replicas
    expected = denoise(generator).latents
    forward = replica.module.forward
    replica.module.forward = failing(forward, {2}, OUT_OF_MEMORY)
    with pytest.raises(BackendError) as raised:
        denoise(generator)
    assert raised.value.message == "cpu ran out of memory while it denoised the second guidance branch."
    assert raised.value.hint == "Make the video smaller, or use `generator.gpus=1`."
    replica.module.forward = forward
    np.testing.assert_array_equal(denoise(generator).latents, expected)
    assert generator.settings["offload"] == "none"


def test_cancelling_stops_both(config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_split(config, monkeypatch)
    expected = denoise(generator).latents
    done: list[int] = []
    with pytest.raises(RunInterruptedError):
        denoise(generator, on_step=lambda step: done.append(step.number), cancelled=lambda: len(done) == 2)
    np.testing.assert_array_equal(denoise(generator).latents, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_compiled_blocks_of_both_are_their_own(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tiny_cogvideox_dir, compile="on")
    generator = load_split(config, monkeypatch)
    (replica,) = generator.shared[0].replicas
    blocks = zip(
        generator.pipeline.transformer.transformer_blocks, replica.module.transformer_blocks, strict=True
    )
    assert all(vars(ours)["forward"] is not vars(theirs)["forward"] for ours, theirs in blocks)
    shared = denoise(generator).latents
    np.testing.assert_allclose(shared, denoise(load(config_of(tiny_cogvideox_dir))).latents, atol=1e-4)


@pytest.mark.gpu
def test_two_real_gpus_make_the_same_bits_in_half_of_the_time() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    script = Path(__file__).parents[3] / "benchmarks" / "gpu_split.py"
    models = ["--models", "CogVideoXPipeline", "WanPipeline"]
    done = subprocess.run([sys.executable, script, *models, "--compile", "off"], check=False)
    assert done.returncode == 0
