"""SIGKILL at every stage's boundary, inside every stage, and between a file's writing and its renaming."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.files.atomic import TEMPORARY
from phyt2v_cli.runs.records import RunRecord, VideoRecord
from phyt2v_cli.testing.fakes import FakeRoles
from tests.fake_runs import make_config, open_run, run_through
from tests.faults.processes import PATIENCE_S, QUICK, Doubled, outcome


def kill(path: Path, where: str) -> None:
    """Refine in a process that is killed: by itself, or from outside while it hangs inside a stage."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_runs", path, "1", where], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    if where.startswith("inside-"):
        assert process.stdout.readline() == "inside\n"
        process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL


def go_on(path: Path, whole: Path) -> FakeRoles:
    """Finish a killed run, check that it equals the uninterrupted one, and return what was asked of whom."""
    cast = FakeRoles()
    run_through(path, make_config(rounds=1), cast)
    assert outcome(path) == outcome(whole)
    assert not list(path.glob(TEMPORARY))
    assert not list(path.glob("latents*"))
    return cast


def assert_swept(path: Path) -> None:
    """Check that opening a run deletes the temporary files that a killed process left."""
    open_run(path, make_config(rounds=1)).close()
    assert not list(path.glob(TEMPORARY))


@pytest.mark.parametrize("where", ["denoise:1", "inside-denoise:1", "inside-denoise:2"])
def test_fault_01_killed_while_denoising(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    kill(tmp_path / "run", where)
    cast = go_on(tmp_path / "run", uninterrupted)
    assert len(cast.generator.denoised) == (2 if where.endswith("1") else 1)
    assert "analysis" not in cast.llm.tasks()


@pytest.mark.parametrize("where", ["decode:1", "inside-decode:1", "encode:2", "inside-encode:1"])
def test_fault_02_killed_while_decoding_or_encoding(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "run"
    kill(path, where)
    number = int(where[-1])
    assert (path / f"latents{number}.safetensors").exists()
    assert not (path / f"output{number}.mp4").exists()
    cast = go_on(path, uninterrupted)
    assert len(cast.generator.denoised) == 2 - number  # the latents were kept


@pytest.mark.parametrize("where", ["caption:1", "inside-caption:1"])
def test_fault_03_killed_while_captioning(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    kill(tmp_path / "run", where)
    cast = go_on(tmp_path / "run", uninterrupted)
    assert len(cast.generator.denoised) == 1
    assert cast.captioner.calls == 2


@pytest.mark.parametrize("where", ["score:2", "inside-score:2"])
def test_fault_04_killed_while_scoring(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    kill(tmp_path / "run", where)
    cast = go_on(tmp_path / "run", uninterrupted)
    assert (cast.loads, cast.captioner.calls, len(cast.scorer.calls)) == (0, 0, 1)


@pytest.mark.parametrize("where", ["mismatch:1", "inside-mismatch:1"])
def test_fault_05_killed_while_comparing(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    kill(tmp_path / "run", where)
    cast = go_on(tmp_path / "run", uninterrupted)
    assert cast.llm.tasks() == ["mismatch", "refinement"]
    assert (cast.captioner.calls, len(cast.scorer.calls)) == (1, 1)


@pytest.mark.parametrize("where", ["refine:1", "inside-refine:1"])
def test_fault_06_killed_while_rewriting(where: str, tmp_path: Path, uninterrupted: Path) -> None:
    kill(tmp_path / "run", where)
    assert go_on(tmp_path / "run", uninterrupted).llm.tasks() == ["refinement"]


@pytest.mark.parametrize("name", ["output1.mp4", "latents1.safetensors", "round2.json", "run.json"])
def test_fault_07_killed_between_temporary_file_and_rename(
    name: str, tmp_path: Path, uninterrupted: Path
) -> None:
    path = tmp_path / "run"
    kill(path, f"rename:{name}")
    assert len(list(path.glob(f".{name}.*.phyt2v-tmp"))) == 1
    assert not (path / name).exists()
    assert_swept(path)
    go_on(path, uninterrupted)


@pytest.mark.parametrize("name", ["round1.json", "run.json"])
def test_fault_07_killed_between_temporary_file_and_rename_of_a_later_state(
    name: str, tmp_path: Path, uninterrupted: Path
) -> None:
    before, path = tmp_path / "before", tmp_path / "run"
    kill(before, f"rename:{name}")
    kill(path, f"rename:{name}:2")
    (old,) = before.glob(f".{name}.*.phyt2v-tmp")
    (new,) = path.glob(f".{name}.*.phyt2v-tmp")
    assert (path / name).read_bytes() == old.read_bytes() != new.read_bytes()
    records = {"round1.json": VideoRecord, "run.json": RunRecord}
    for state in (path / name, new):
        records[name].model_validate_json(state.read_bytes())
    assert_swept(path)
    assert (path / name).read_bytes() == old.read_bytes()
    go_on(path, uninterrupted)
    assert not list(path.glob("*.broken-*"))


def test_fault_08_killed_again_while_resuming(tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "run"
    kill(path, "inside-caption:1")
    kill(path, "inside-decode:2")
    cast = go_on(path, uninterrupted)
    assert cast.loads == 1
    assert not cast.generator.denoised


def test_fault_07_temporary_files_are_swept_wherever_a_command_writes(
    tmp_path: Path, doubled: Doubled, doubled_whole: Path
) -> None:
    run, videos = Path(shutil.copytree(doubled_whole, tmp_path / "run")), tmp_path / "videos"
    videos.mkdir()
    (tmp_path / "set.txt").write_text("a ball drops\n")
    commands: dict[Path, tuple[str | Path, ...]] = {
        run / ".report.html.1.phyt2v-tmp": ("report", run),
        run / ".round1.json.1.phyt2v-tmp": ("refine", "--resume", run),
        videos / ".a.mp4.1.phyt2v-tmp": ("generate", *QUICK[1:3], "--steps", "3", "--out", videos / "a.mp4"),
        videos / ".b.mp4.phyt2v-latents.1.phyt2v-tmp": (
            *("generate", *QUICK[1:3], "--steps", "3", "--out", videos / "b.mp4"),
        ),
        tmp_path / "set" / "..phyt2v-force.json.1.phyt2v-tmp": (
            *("batch", tmp_path / "set.txt", "--steps", "3", "--rounds", "0", "--out", tmp_path / "set"),
        ),
        videos / ".profile.json.1.phyt2v-tmp": (
            *(*QUICK, "--out", tmp_path / "other", "--profile", videos / "profile.json"),
        ),
    }
    (tmp_path / "set").mkdir()
    for left, command in commands.items():
        left.write_text("half")
        ended = doubled.run(*command)
        assert ended.code == 0, ended.err
        assert not left.exists(), left
