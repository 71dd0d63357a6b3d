import json
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.files.video import VideoMetadata, read_video
from tests.command_line import CommandLine


@pytest.mark.slow
def test_a_video_of_any_local_model(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "my prompt.txt").write_text("a ball\n")
    sizes = ["--set", "generator.num_frames=9", "--set", "generator.height=16", "--set", "generator.width=16"]
    command = [sys.executable, "-m", "phyt2v_cli", "generate", "my prompt.txt", "--out", "ünïcode.mp4"]
    result = subprocess.run(
        [*command, "--model", str(tiny_cogvideox_dir), "--steps", "2", "--seed", "4", *sizes, "--json"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    made = json.loads(result.stdout)
    assert made["schema"] == "phyt2v.video/1"
    assert set(made["seconds"]) == {"denoise", "decode", "encode"}
    video = tmp_path / made["video"]
    frames, metadata = read_video(video)
    assert frames.shape == (9, 16, 16, 3)
    assert metadata is not None
    assert metadata == VideoMetadata("a ball", 4, 2, None, metadata.pixels_key)
    assert len(metadata.pixels_key) == 16


def test_a_dry_run_writes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "phyt2v_cli", "generate", "--prompt", "a ball", "--dry-run"]
    result = subprocess.run(
        [*command, "--steps", "7", "--out", "ball.mp4", "--json"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown.pop("needed_bytes") > 0
    assert shown == {
        "schema": "phyt2v.video-dry-run/1",
        "video": "ball.mp4",
        "videos": [{"round": None, "steps": 7, "purpose": "final"}],
    }
    assert "Would render ball.mp4 with 7 denoising steps of tiny" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("schedule", "words", "steps"),
    [
        ("steps = [3, 9, 6]", [], 6),
        ("steps = [3, 9, 6]", ["--steps", "4"], 4),
        ("steps = [3, 9, 6]", ["--set", "schedule.max_steps=8"], 8),
        ("max_steps = 7", [], 7),
        ('kind = "final-only"\nmin_steps = 9\nmax_steps = 5', [], 9),
    ],
)
def test_the_steps_are_those_of_the_schedules_final(
    schedule: str, words: list[str], steps: int, phyt2v: CommandLine
) -> None:
    (phyt2v.folder / "config.toml").write_text(f"[schedule]\n{schedule}\n")
    config = ("--prompt", "a ball", "--config", "config.toml", "--dry-run", "--json")
    shown = json.loads(phyt2v("generate", *config, *words).out)
    assert shown["videos"] == [{"round": None, "steps": steps, "purpose": "final"}]
    if not words:  # the same video as the last of a run
        assert json.loads(phyt2v("refine", *config).out)["videos"][-1]["steps"] == steps


def test_a_control_of_the_config_is_in_every_plan(phyt2v: CommandLine) -> None:
    (phyt2v.folder / "config.toml").write_text("[refinement]\ncontrol = true\nrounds = 1\n")
    shown = phyt2v("preview-schedule", "--config", "config.toml", "--seconds-per-step", "2")
    assert "The control adds 50 denoising steps, 1m 40s." in shown.out
    words = ("--config", "config.toml", "--json", "--seconds-per-step", "2")
    told = json.loads(phyt2v("preview-schedule", *words).out)
    assert (told["control"], told["expected_seconds"]) == ({"steps": 50}, 2 * (20 + 50 + 50))
    without = json.loads(phyt2v("preview-schedule", "--json", "--rounds", "1").out)
    assert "control" not in without
