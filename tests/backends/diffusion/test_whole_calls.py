"""Pipelines that cannot be cut at their autoencoder: the whole video that they return, and what is told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging

from phyt2v_cli.backends.acceleration.convolutions import prefer_onednn
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.files.video import read_video
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_unlisted import save_helios, save_noisy_wan, save_vace

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of Helios's scheduler


def render(generator, prompt="a ball falls"):
    denoised = generator.denoise(prompt, seed=1, num_inference_steps=2, on_step=lambda *_: None)
    return generator.decode(denoised.latents).frames


@pytest.mark.parametrize(("save", "num_frames"), [(save_helios, 65), (save_vace, 9)])
def test_fault_63_the_video_is_the_one_that_the_pipeline_returns(save, num_frames, tmp_path):
    path = save(tmp_path)
    frames = render(load(GeneratorConfig(model=str(path), height=16, width=16, num_frames=num_frames)))
    diffusers_logging.set_verbosity_error()
    pipeline = DiffusionPipeline.from_pretrained(path)
    prefer_onednn(pipeline.vae)  # so that both round alike
    pipeline.set_progress_bar_config(disable=True)
    torch.manual_seed(1)
    direct = pipeline(
        "a ball falls",
        height=16,
        width=16,
        num_frames=num_frames,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).frames[0]
    np.testing.assert_array_equal(frames, (direct * 255).round().astype(np.uint8))


@pytest.mark.slow
def test_from_the_command_line_the_record_says_what_is_not_kept(tmp_path: Path, phyt2v: CommandLine) -> None:
    judges = {"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"}
    words = ["--prompt", "a ball falls", "--model", str(save_helios(tmp_path / "model"))]
    words += assignments({**sizes(37, 16, 16), **judges})
    done = phyt2v("refine", *words, "--steps", "2,3", "--out", "run")
    assert done.code == 0, done.err
    frames, _ = read_video(tmp_path / "run" / "output1.mp4")
    how = json.loads((tmp_path / "run" / "round1.json").read_text())["generator"]
    assert how["decode"] == "in the call that denoises, so no latents are kept"
    assert how["num_frames"] == f"37 wanted, {len(frames)} made"
    assert len(frames) > 37
    assert done.err.count(f"note: frames of the video: 37 wanted, {len(frames)} made") == 1


def test_fault_64_a_solver_that_draws_noise_gives_the_same_video_twice(tmp_path):
    config = GeneratorConfig(model=str(save_noisy_wan(tmp_path)), height=16, width=16, num_frames=9)
    generator = load(config)
    before = torch.random.get_rng_state()
    first = render(generator)
    assert torch.equal(torch.random.get_rng_state(), before)  # that of the program around it
    torch.manual_seed(7)
    np.testing.assert_array_equal(render(generator), first)
