"""The main job for real: the embedded model, its tracker and its rulebook, in processes of their own."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.processes import PHYT2V, complete

QUICK = ["--prompt", "a red ball drops", "--min", "2", "--max", "3", "--rounds", "1"]


def refine(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return complete([*PHYT2V, "refine", *arguments], cwd=cwd)


def test_a_run_prints_its_result_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    first = refine(*QUICK, "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert result["schema"] == "phyt2v.result/1"
    assert result["status"] == "complete"
    assert [(entry["steps"], entry["purpose"]) for entry in result["rounds"]] == [(2, "draft"), (3, "final")]
    said = first.stderr
    assert said.index("5 steps instead of 6") < said.index("Round 1 of 2: 2 denoising steps")
    assert "Round 2 of 2: 3 denoising steps" in said
    assert "\x1b" not in said

    video = tmp_path / result["video"]
    written = video.stat().st_mtime_ns
    again = refine(*QUICK, cwd=tmp_path)
    assert again.returncode == 0
    assert again.stdout == f"{result['video']}\n"
    assert "complete" in again.stderr
    assert video.stat().st_mtime_ns == written

    run_dir = result["run_dir"]
    other = refine(*QUICK, "--seed", "3", "--out", run_dir, cwd=tmp_path)
    assert other.returncode == 3
    assert "run.seed" in other.stderr
    assert "--force" in other.stderr

    resumed = refine("--resume", run_dir, "--quiet", cwd=tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert resumed.stdout == f"{result['video']}\n"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = refine(*QUICK, "--dry-run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["schema"] == "phyt2v.dry-run/1"
    assert [video["steps"] for video in shown["videos"]] == [2, 3]
    assert "5 steps instead of 6" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on(number: signal.Signals, code: int, tmp_path: Path) -> None:
    command = [*PHYT2V, "refine", "--prompt", "a red ball drops", "--steps", "3,900", "--out", "run"]
    environment = {**os.environ, "PHYT2V_RUN__SEED": "5"}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        text=True,
        # a job started with nohup or in the background of a script hands on ignored signals
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "round2.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert (tmp_path / "run" / "output1.mp4").exists()
    assert not (tmp_path / "run" / "output2.mp4").exists()


@pytest.mark.slow
def test_a_scorer_program_that_prints_rubbish_fails_the_run_until_it_is_mended(tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    judge.write_text("#!/bin/sh\necho loading the model...\necho 'out of memory' >&2\n")
    judge.chmod(0o755)
    command = [*QUICK, "--set", "scorer.backend=command", "--set", "scorer.command=./judge", "--json"]
    failed = refine(*command, "--quiet", cwd=tmp_path)
    assert failed.returncode == 4
    assert json.loads(failed.stdout)["error"]["code"] == "backend", "with --json an error is an object too"
    assert len(failed.stderr.splitlines()) == 1
    assert "error: The scorer ./judge printed no usable scores" in failed.stderr
    assert "out of memory" in failed.stderr

    rendered = [path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/output1.mp4")]
    judge.write_text('#!/bin/sh\necho \'{"semantic_adherence": 0.5, "physical_commonsense": 1}\'\n')
    mended = refine(*command, cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    result = json.loads(mended.stdout)
    scores = {"semantic_adherence": 0.5, "physical_commonsense": 1.0}
    assert [entry["scores"] for entry in result["rounds"]] == [scores, scores]
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/output1.mp4")] == rendered


@pytest.mark.slow
def test_a_real_pipeline_with_the_embedded_judges_completes_unscored(
    tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    sizes = ["generator.num_frames=9", "generator.height=16", "generator.width=16"]
    judges = ["llm.backend=rulebook", "captioner.backend=tracker", "scorer.backend=tracker"]
    settings = [part for setting in [*sizes, *judges] for part in ("--set", setting)]
    done = refine(*QUICK, "--model", str(tiny_cogvideox_dir), *settings, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [(entry["steps"], entry["purpose"]) for entry in result["rounds"]] == [(2, "draft"), (3, "final")]
    for entry in result["rounds"]:
        # noise is not the tracker's world, so it says why it has no score
        assert entry["scores"] == {"semantic_adherence": None, "physical_commonsense": None}
        assert entry["scorers"]["tracker"]["reasons"][0].startswith("The tracker abstains")
        assert "cannot describe this" in entry["caption"]
        assert (tmp_path / result["run_dir"] / entry["video"]).exists()
    assert "SA -, PC -" in done.stderr
    assert "The tracker abstains" in done.stderr
