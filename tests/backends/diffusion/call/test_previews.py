"""Previews of real tiny pipelines: they show what the model predicts, change no pixel, and end themselves."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from phyt2v_cli.backends.diffusion.call import latent_split, previews
from phyt2v_cli.backends.diffusion.call.clean_latents import after_each_step
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import DenoisingStep, Latents, Trajectory
from tests.tiny_families import save_hunyuan, save_hunyuan_15, save_latte
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_mochi, save_wan

CASES: dict[str, tuple[Callable[[Path], Path], dict[str, int]]] = {
    "cogvideox-2b": (lambda path: save_cogvideox(path, "2b"), {}),
    "cogvideox-1.5": (lambda path: save_cogvideox(path, "1.5"), {"num_frames": 17}),
    "cogvideox-dpm": (lambda path: save_cogvideox(path, dpm=True), {}),
    "wan": (save_wan, {"num_frames": 9, "height": 16, "width": 32}),
    "ltx": (save_ltx, {"num_frames": 9, "height": 32, "width": 64}),
    "mochi": (save_mochi, {"num_frames": 7, "height": 16, "width": 16}),
    "hunyuan": (save_hunyuan, {"num_frames": 5, "height": 16, "width": 16}),
    "hunyuan-1.5": (save_hunyuan_15, {"num_frames": 5, "height": 16, "width": 16}),
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let previews of tiny models take as long as they want."""
    monkeypatch.setattr(previews, "MAX_SHARE", float("inf"))


def denoise(
    generator: DiffusersGenerator, steps: int = 4, **more: Any
) -> tuple[Latents, list[DenoisingStep]]:
    seen: list[DenoisingStep] = []
    denoised = generator.denoise(
        "a ball falls", seed=1, num_inference_steps=steps, on_step=seen.append, **more
    )
    return denoised.latents, seen


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", CASES)
def test_a_preview_is_the_video_that_would_end_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, size = CASES[name]
    config = GeneratorConfig.model_validate({"model": str(save(tmp_path)), "device": "cpu", **size})
    decoded: list[torch.Tensor] = []
    original = latent_split.decode_meanwhile

    def decode_meanwhile(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
        decoded.append(latents)
        return original(pipeline, latents)

    monkeypatch.setattr(latent_split, "decode_meanwhile", decode_meanwhile)
    expected, steps = denoise(load(config.model_copy(update={"preview_every": 0})))
    assert not decoded
    assert all(step.preview is None for step in steps)

    generator = load(config.model_copy(update={"preview_every": 2}))
    latents, steps = denoise(generator)
    np.testing.assert_array_equal(latents, expected)  # bit for bit, and the last step has no preview
    assert [step.preview is not None for step in steps] == [False, True, False, False]
    assert not any(step.note for step in steps)
    # The pipeline's own code ends a trajectory after two steps with what it would decode then.
    ended, _ = denoise(generator, 2, trajectory=Trajectory(4))
    np.testing.assert_allclose(decoded[0].numpy(), ended, rtol=1e-5, atol=1e-6)
    frames = generator.decode(ended).frames
    preview = steps[1].preview
    assert preview is not None
    chosen = frames[np.linspace(0, len(frames) - 1, previews.NUM_FRAMES).round().astype(int)]
    np.testing.assert_allclose(preview.astype(int), chosen.astype(int), atol=1)


def test_previews_that_take_too_long_end_and_say_so(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MAX_SHARE", 0.0)
    generator = load(GeneratorConfig(model=str(tiny_cogvideox_dir), device="cpu", preview_every=1))
    expected, steps = denoise(generator, 6)
    # The first one is not held against them, since it also loads kernels.
    assert [step.preview is not None for step in steps] == [True, True, False, False, False, False]
    (note,) = (step.note for step in steps if step.note)
    assert note.startswith("no more previews of this model's videos: one takes ")
    assert note.count(" s") >= 2
    again, steps = denoise(generator, 6)
    np.testing.assert_array_equal(again, expected)
    assert all(step.preview is None and not step.note for step in steps)


@pytest.mark.usefixtures("patient")
def test_a_preview_that_fails_ends_previews_and_not_the_video(
    tiny_generator: DiffusersGenerator, tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, steps = denoise(tiny_generator, 12)
    assert all(step.preview is None for step in steps)  # a CPU has none unless it is told to
    generator = load(GeneratorConfig(model=str(tiny_cogvideox_dir), device="cpu", preview_every=10))

    def run_out(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(latent_split, "decode_meanwhile", run_out)
    latents, steps = denoise(generator, 12)
    np.testing.assert_array_equal(latents, expected)
    assert [step.note for step in steps if step.note] == [
        "no more previews of this model's videos: one failed (OutOfMemoryError)"
    ]
    assert all(step.preview is None for step in steps)


def test_an_autoencoder_that_is_offloaded_makes_none_and_is_said_once(
    tiny_generator: DiffusersGenerator,
) -> None:
    pipeline = tiny_generator.pipeline  # all of it on the CPU
    made = previews.Previews(pipeline, {}, "auto", torch.device("cuda"))
    with made.watching(20):
        pipeline("a ball falls", num_inference_steps=20, output_type="latent")
    preview, note = made.take()
    assert preview is None
    assert note.endswith("the autoencoder is not on the GPU during denoising, where weights are offloaded")
    assert made.take() == (None, "")


@pytest.mark.usefixtures("patient")
def test_a_family_whose_latents_are_not_known_has_none(tmp_path: Path) -> None:
    size = {"num_frames": 16, "height": 16, "width": 16}
    config = GeneratorConfig.model_validate({"model": str(save_latte(tmp_path)), "preview_every": 1, **size})
    _, steps = denoise(load(config))
    assert all(step.preview is None and not step.note for step in steps)


def test_a_solver_that_is_watched_takes_what_it_took(tiny_generator: DiffusersGenerator) -> None:
    """Pipelines look whether it takes a generator, without which its noise would be other noise."""
    solver = DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++")
    before = inspect.signature(solver.step)
    assert "generator" in before.parameters
    with after_each_step(solver, lambda *_: None):
        assert inspect.signature(solver.step) == before
        tiny_generator.pipeline.scheduler = solver
        assert "generator" in tiny_generator.pipeline.prepare_extra_step_kwargs(torch.Generator(), 0.0)


def test_large_latents_are_shrunk_and_small_ones_are_not() -> None:
    for size, expected in (((60, 90), (30, 45)), ((90, 160), (22, 40)), ((30, 40), (30, 40))):
        assert previews.shrunk(torch.zeros(1, 4, 3, *size)).shape == (1, 4, 3, *expected)
