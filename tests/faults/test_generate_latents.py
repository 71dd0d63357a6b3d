"""`phyt2v generate` loses no denoising to what happens after it, and takes up no latents of another video."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.files.video import VideoMetadata
from tests.fake_runs import made_from
from tests.faults.processes import PATIENCE_S, Doubled, Ended

GENERATE = ("generate", "--prompt", "a red ball drops", "--steps", "4")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder / "ball.mp4"


def killed_while_decoding(doubled: Doubled, out: Path) -> None:
    process = doubled.start(*GENERATE, "--out", out, script={"hang": ["decode:1"]})
    doubled.wait_for("decode:1 hangs")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert kept(out) == ["ball.mp4.phyt2v-latents"]


def kept(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_after_a_kill_no_denoising_step_runs_again(doubled: Doubled, out: Path, tmp_path: Path) -> None:
    killed_while_decoding(doubled, out)
    ended = doubled.run(*GENERATE, "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert (doubled.count("denoise"), doubled.count("step")) == (1, 4)
    assert f"Resuming from the latents in {out}.phyt2v-latents" in " ".join(ended.err.split())
    assert set(json.loads(ended.out)["seconds"]) == {"decode", "encode"}
    assert kept(out) == ["ball.mp4"]
    assert made_from(out) == VideoMetadata("a red ball drops", 0, 4)

    whole = tmp_path / "whole.mp4"
    assert doubled.run(*GENERATE, "--out", whole).code == 0
    assert whole.read_bytes() == out.read_bytes()


def test_after_a_full_disk_no_denoising_step_runs_again(doubled: Doubled, out: Path) -> None:
    failed = doubled.run_apart(*GENERATE, "--out", out, script={"fill": "decode:1", "only": ".mp4."})
    assert (failed.code, failed.out) == (3, "")
    assert "the disk is full\nhint: Free some space, and do the same again.\n" in failed.err
    assert kept(out) == ["ball.mp4.phyt2v-latents"]
    assert doubled.run(*GENERATE, "--out", out).code == 0
    assert (doubled.count("denoise"), doubled.count("step")) == (1, 4)
    assert kept(out) == ["ball.mp4"]


def test_after_a_signal_no_denoising_step_runs_again(doubled: Doubled, out: Path) -> None:
    process = doubled.start(*GENERATE, "--out", out, script={"hang": ["decode:1"]})
    doubled.wait_for("decode:1 hangs")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 130
    assert "resumes from finished latents" in said
    assert doubled.run(*GENERATE, "--out", out).code == 0
    assert doubled.count("denoise") == 1


@pytest.mark.parametrize(
    "other",
    [
        ["--seed", "1"],
        ["--steps", "5"],
        ["--prompt", "a blue ball drops"],
        ["--set", "generator.guidance_scale=7"],
        ["--set", "generator.height=32"],
        ["--solver", "own"],
        ["--model", "MODEL"],
    ],
    ids=" ".join,
)
def test_another_video_is_denoised_anew(
    other: list[str], doubled: Doubled, out: Path, tiny_cogvideox_dir: Path
) -> None:
    killed_while_decoding(doubled, out)
    arguments = [part.replace("MODEL", str(tiny_cogvideox_dir)) for part in other]
    if "--model" in other:
        arguments += ["--set", "generator.num_frames=9", "--set", "generator.height=16"]
        arguments += ["--set", "generator.width=16"]
    assert rendered(doubled, out, arguments).code == 0
    assert doubled.count("denoise") == 2
    assert kept(out) == ["ball.mp4"]


def test_what_changes_no_pixels_takes_them_up(doubled: Doubled, out: Path) -> None:
    killed_while_decoding(doubled, out)
    arguments = ["--set", "generator.offload=model", "--set", "refinement.rounds=2", "--allow-truncation"]
    assert rendered(doubled, out, arguments).code == 0
    assert doubled.count("denoise") == 1


def test_broken_latents_are_made_again(doubled: Doubled, out: Path) -> None:
    killed_while_decoding(doubled, out)
    latents = out.with_name("ball.mp4.phyt2v-latents")
    latents.write_bytes(latents.read_bytes()[:-1] + b"x")
    assert rendered(doubled, out, []).code == 0
    assert doubled.count("denoise") == 2


def test_latents_that_are_no_picture_are_not_kept(doubled: Doubled, out: Path) -> None:
    ended = rendered(doubled, out, [], script={"frames": {"any": "black"}})
    assert ended.code == 4
    assert kept(out) == []


def rendered(doubled: Doubled, out: Path, arguments: list[str], **options: Any) -> Ended:
    return doubled.run(*GENERATE, "--out", out, *arguments, **options)
