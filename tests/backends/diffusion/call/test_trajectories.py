"""A video that goes on with the steps of an earlier one is bit for bit the video of one call."""

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from phyt2v_cli.backends.acceleration.compilation import denoisers_of
from phyt2v_cli.backends.diffusion.call import trajectories
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, RunInterruptedError
from phyt2v_cli.roles import Denoised, DenoisingStep, Trajectory
from tests.tiny_families import save_hunyuan, save_hunyuan_15, save_skyreels
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_mochi, save_wan

TINY = {"num_frames": 9, "height": 16, "width": 16}
SMALL = {"num_frames": 5}
WHOLE = 6

Save = Callable[[Path], Path]

FAMILIES = [
    pytest.param(save_cogvideox, {"solver": "ddim"}, id="cogvideox-ddim"),
    pytest.param(save_cogvideox, {"solver": "unipc"}, id="cogvideox-unipc", marks=pytest.mark.slow),
    pytest.param(save_cogvideox, {"solver": "dpm++"}, id="cogvideox-dpm++", marks=pytest.mark.slow),
    pytest.param(save_wan, SMALL, id="wan-unipc"),
    pytest.param(partial(save_wan, two_transformers=True), SMALL, id="wan-two", marks=pytest.mark.slow),
    pytest.param(save_wan, {**SMALL, "solver": "flow-euler"}, id="wan-flow-euler", marks=pytest.mark.slow),
    pytest.param(save_ltx, {"height": 32, "width": 32}, id="ltx-flow-euler", marks=pytest.mark.slow),
    pytest.param(save_mochi, {"num_frames": 7}, id="mochi", marks=pytest.mark.slow),
    pytest.param(save_hunyuan, SMALL, id="hunyuan", marks=pytest.mark.slow),
    pytest.param(save_hunyuan_15, SMALL, id="hunyuan-1.5", marks=pytest.mark.slow),
    pytest.param(save_skyreels, {}, id="skyreels", marks=pytest.mark.slow),
]


def load_tiny(folder: Path, **settings: Any) -> DiffusersGenerator:
    return load(GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **TINY, **settings}))


def denoise(
    generator: DiffusersGenerator, steps: int, trajectory: Trajectory | None = None, **options: Any
) -> Denoised:
    options = {"on_step": lambda _: None, **options}
    return generator.denoise(
        "a ball drops", seed=3, num_inference_steps=steps, trajectory=trajectory, **options
    )


class Calls:
    """Calls of the denoisers that really compute."""

    def __init__(self, generator: DiffusersGenerator) -> None:
        self.count = 0
        for denoiser in denoisers_of(generator.pipeline):
            denoiser.forward = self._counted(denoiser.forward)

    def _counted(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(forward)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return forward(*args, **kwargs)

        return call


@pytest.mark.parametrize(("save", "settings"), FAMILIES)
def test_each_video_goes_on_where_the_last_one_stopped(
    save: Save, settings: dict[str, Any], tmp_path: Path
) -> None:
    generator = load_tiny(save(tmp_path / "model"), **settings)
    calls = Calls(generator)
    whole = denoise(generator, WHOLE)
    calls_of_a_step = calls.count // WHOLE
    shared = Trajectory(WHOLE, "key", tmp_path / "trajectory.safetensors")
    looks, counts = [], []
    for steps in (2, 4, WHOLE):
        seen: list[DenoisingStep] = []
        calls.count = 0
        looks.append(denoise(generator, steps, shared, on_step=seen.append))
        counts.append(calls.count)
        # Kept steps are reported as one, so that nobody takes them for fast ones.
        kept = int(looks[-1].how["kept_steps"])
        expected = [(number, steps) for number in range(max(kept, 1), steps + 1)]
        assert [(step.number, step.total) for step in seen] == expected
    assert counts == [2 * calls_of_a_step] * 3
    np.testing.assert_array_equal(looks[-1].latents, whole.latents)
    assert [look.how["kept_steps"] for look in looks] == ["0", "2", "4"]
    # What the model predicts decodes as any latents.
    assert not np.array_equal(looks[0].latents, looks[1].latents)
    assert looks[0].latents.shape == whole.latents.shape
    assert generator.decode(looks[0].latents).frames.shape == generator.decode(whole.latents).frames.shape
    # A look alone is the same look, and leaves nothing behind.
    np.testing.assert_array_equal(denoise(generator, 4, Trajectory(WHOLE)).latents, looks[1].latents)
    np.testing.assert_array_equal(denoise(generator, WHOLE).latents, whole.latents)
    assert "kept_steps" not in denoise(generator, 2).how


def test_another_key_and_a_damaged_file_are_begun_anew(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    generator = load_tiny(tiny_cogvideox_dir)
    path = tmp_path / "trajectory.safetensors"
    expected = denoise(generator, 3, Trajectory(WHOLE, "a", path)).latents
    kept = path.read_bytes()
    other = denoise(generator, 3, Trajectory(WHOLE, "b", path))
    assert other.how["kept_steps"] == "0"
    damaged = bytearray(kept)
    damaged[-5] ^= 1
    for content in (bytes(damaged), kept[:-8], b"", b"no safetensors"):
        path.write_bytes(content)
        again = denoise(generator, 3, Trajectory(WHOLE, "a", path))
        assert again.how["kept_steps"] == "0"
        np.testing.assert_array_equal(again.latents, expected)
    path.write_bytes(kept)
    assert denoise(generator, 3, Trajectory(WHOLE, "a", path)).how["kept_steps"] == "3"


def test_a_stopped_video_keeps_nothing_and_the_next_is_whole(
    tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    generator = load_tiny(tiny_cogvideox_dir)
    shared = Trajectory(WHOLE, "a", tmp_path / "trajectory.safetensors")
    seen: list[DenoisingStep] = []
    with pytest.raises(RunInterruptedError):
        denoise(generator, 4, shared, on_step=seen.append, cancelled=lambda: len(seen) == 2)
    assert not list(tmp_path.iterdir())
    looked = denoise(generator, 4, shared)
    np.testing.assert_array_equal(looked.latents, denoise(generator, 4, Trajectory(WHOLE)).latents)


class Steps:
    """As much of a pipeline as a trajectory needs: a solver, and a loop that can be ended."""

    def __init__(self, solver: Any) -> None:
        self.scheduler = solver
        self._interrupt = False

    @property
    def interrupt(self) -> bool:
        return self._interrupt

    def run(self, num_steps: int, clean: torch.Tensor) -> torch.Tensor:
        """Denoise with a model that knows the `clean` latents; returns them if the solver is right."""
        solver, self._interrupt = self.scheduler, False
        solver.set_timesteps(num_steps)
        sample = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        is_flow = hasattr(solver, "sigmas") and solver.config.get("prediction_type", "flow") != "v_prediction"
        for number, timestep in enumerate(solver.timesteps):
            if self.interrupt:
                continue
            if is_flow:
                sigma = solver.sigmas[number]
                output = (sample - clean) / sigma
            else:
                alpha = solver.alphas_cumprod[int(timestep)]
                noise = (sample - alpha.sqrt() * clean) / (1 - alpha).sqrt()
                output = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
            sample = solver.step(output, timestep, sample, return_dict=False)[0]
        return sample


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
SOLVERS = [
    CogVideoXDDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
    UniPCMultistepScheduler(**FLOW),
    DPMSolverMultistepScheduler(**FLOW),
    FlowMatchEulerDiscreteScheduler(shift=3.0),
]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("num_steps", [1, 3, 7])
def test_after_any_step_a_perfect_model_predicts_the_clean_video(solver: Any, num_steps: int) -> None:
    clean = torch.randn(1, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    pipeline, kind = Steps(solver), type(solver)
    with trajectories.followed(pipeline, [], Trajectory(8), num_steps):
        predicted = pipeline.run(8, clean)
    torch.testing.assert_close(predicted, clean, atol=2e-4, rtol=0)
    assert pipeline.interrupt
    assert type(solver) is kind


@pytest.mark.parametrize(
    ("solver", "reason"),
    [
        (EulerDiscreteScheduler(), "its solver EulerDiscreteScheduler predicts no clean video"),
        (UniPCMultistepScheduler(predict_x0=False), "its solver UniPCMultistepScheduler predicts no clean"),
        (
            DPMSolverMultistepScheduler(algorithm_type="dpmsolver", final_sigmas_type="sigma_min"),
            "predicts no clean video",
        ),
    ],
)
def test_a_solver_that_predicts_no_clean_video_is_refused(solver: Any, reason: str) -> None:
    whole = trajectories.followed(Steps(solver), [], Trajectory(8), 8)
    with pytest.raises(ConfigError, match=reason), trajectories.followed(Steps(solver), [], Trajectory(8), 3):
        pass
    with whole:  # all steps need no prediction
        pass


def test_a_pipeline_that_cannot_be_ended_early_is_refused() -> None:
    pipeline = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler())
    with (
        pytest.raises(ConfigError, match="SimpleNamespace cannot be ended before its last step"),
        trajectories.followed(pipeline, [], Trajectory(8), 3),
    ):
        pass
