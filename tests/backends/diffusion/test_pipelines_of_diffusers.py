"""Every family from the command line: one video, and a run of two rounds, of real classes at tiny size."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging

from phyt2v_cli.backends.acceleration.convolutions import prefer_onednn
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.diffusion.solvers import choose_solver
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.files.video import read_video
from tests import tiny_families, tiny_pipelines, tiny_recent, tiny_sound, tiny_unets
from tests.command_line import CommandLine, assignments, sizes
from tests.faults.processes import PHYT2V, end, start


@dataclass(frozen=True)
class Case:
    """A family at its smallest: how it is saved, what it renders, and what its own call names that."""

    name: str
    save: Callable[[Path], Path]
    size: tuple[int, int, int]
    fps: int
    frames_argument: str = "num_frames"

    def config(self, path: Path, **more: object) -> GeneratorConfig:
        frames, height, width = self.size
        sizes = {"num_frames": frames, "height": height, "width": width}
        return GeneratorConfig.model_validate({"model": str(path), **sizes, **more})


CASES = [
    Case("cogvideox-2b", lambda path: tiny_pipelines.save_cogvideox(path, "2b"), (9, 16, 16), 8),
    Case("cogvideox-5b", lambda path: tiny_pipelines.save_cogvideox(path, "5b"), (9, 16, 32), 8),
    Case("cogvideox-1.5", lambda path: tiny_pipelines.save_cogvideox(path, "1.5"), (17, 16, 16), 16),
    Case("wan-2.1", tiny_pipelines.save_wan, (9, 16, 32), 16),
    Case("wan-2.2", lambda path: tiny_pipelines.save_wan(path, two_transformers=True), (5, 16, 16), 16),
    Case("ltx", tiny_pipelines.save_ltx, (9, 32, 64), 24),
    Case("hunyuan", tiny_families.save_hunyuan, (5, 16, 32), 24),
    Case("hunyuan-1.5", tiny_families.save_hunyuan_15, (5, 16, 32), 24),
    Case("mochi", tiny_pipelines.save_mochi, (7, 16, 16), 30),
    Case("anyflow", tiny_families.save_anyflow, (9, 16, 32), 16),
    Case("skyreels", tiny_families.save_skyreels, (9, 16, 32), 24),
    Case("sana-video", tiny_families.save_sana_video, (9, 32, 64), 16, "frames"),
    Case("skyreels-forcing", tiny_recent.save_skyreels_forcing, (9, 16, 32), 24),
    Case("kandinsky-5", tiny_recent.save_kandinsky_5, (5, 16, 32), 24),
    Case("kandinsky-6", tiny_sound.save_kandinsky_6, (5, 16, 32), 24),
    Case("ltx-2", tiny_sound.save_ltx_2, (9, 32, 64), 24),
    Case("ltx-2.3", lambda path: tiny_sound.save_ltx_2(path, style="2.3"), (9, 32, 64), 24),
    Case("allegro", tiny_families.save_allegro, (24, 128, 128), 15),
    Case("latte", tiny_families.save_latte, (16, 16, 16), 8, "video_length"),
    Case("animatediff", tiny_unets.save_animatediff, (18, 16, 24), 8),
    Case("modelscope", tiny_unets.save_text_to_video_sd, (4, 16, 24), 8),
]
SELDOM = (
    "allegro",
    "animatediff",
    "kandinsky-6",
    "latte",
    "ltx-2.3",
    "modelscope",
    "sana-video",
    "skyreels-forcing",
)
"""Families whose command line is tried with the slow tests; their calls are compared in any case."""
every_family = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.name in SELDOM else [])
        for case in CASES
    ],
)
JUDGES = assignments({"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"})


def arguments(case: Case, model: Path) -> list[str]:
    given = assignments(sizes(*case.size))
    return ["--prompt", "a red ball drops", "--model", str(model), *given, "--json"]


def check(video: Path, case: Case) -> None:
    import av

    frames, _ = read_video(video)
    assert frames.shape == (*case.size, 3)
    with av.open(str(video)) as container:
        assert container.streams.video[0].average_rate == case.fps


@every_family
def test_generate_and_refine(case: Case, tmp_path: Path, phyt2v: CommandLine) -> None:
    words = arguments(case, case.save(tmp_path / "model"))
    video = phyt2v("generate", "--steps", "2", "--out", "one.mp4", *words)
    assert video.code == 0, video.err
    check(tmp_path / "one.mp4", case)

    run = phyt2v("refine", "--steps", "2,3", "--out", "run", *JUDGES, *words)
    assert run.code == 0, run.err
    assert json.loads(run.out)["status"] == "complete"
    check(tmp_path / "run" / "output1.mp4", case)
    check(tmp_path / "run" / "output2.mp4", case)


@pytest.mark.slow
@every_family
def test_the_real_command_line(case: Case, tmp_path: Path) -> None:
    model = case.save(tmp_path / "model")
    command = [*PHYT2V, "refine", "--steps", "2,3", "--out", "run", *JUDGES, *arguments(case, model)]
    ended = end(start(command, cwd=tmp_path))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["status"] == "complete"
    check(tmp_path / "run" / "output2.mp4", case)


@pytest.mark.parametrize(
    "case",
    # the others are in test_generator.py
    [case for case in CASES if not case.name.startswith(("cogvideox", "wan-2.1", "ltx", "mochi"))],
    ids=lambda case: case.name,
)
def test_denoise_then_decode_equals_the_direct_call(case: Case, tmp_path: Path) -> None:
    path = case.save(tmp_path)
    generator = load(case.config(path))
    latents = generator.denoise(
        "a ball falls", seed=1, num_inference_steps=3, on_step=lambda *_: None
    ).latents
    frames = generator.decode(latents).frames
    other = generator.denoise("a cube rises", seed=1, num_inference_steps=3, on_step=lambda *_: None).latents

    diffusers_logging.set_verbosity_error()
    pipeline = DiffusionPipeline.from_pretrained(path)
    pipeline.scheduler = choose_solver(pipeline.scheduler, "auto", None)
    prefer_onednn(pipeline.vae)  # so that both round alike
    pipeline.set_progress_bar_config(disable=True)
    num_frames, height, width = case.size
    call: dict[str, object] = {case.frames_argument: num_frames, "height": height, "width": width}
    if case.name == "sana-video":
        call["use_resolution_binning"] = False
    if case.name == "allegro":
        pipeline.vae.enable_tiling()
    direct = pipeline(
        "a ball falls",
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **call,
    ).frames[0]
    np.testing.assert_array_equal(frames, (np.asarray(direct) * 255).round().astype(np.uint8))
    assert not np.array_equal(latents, other)
