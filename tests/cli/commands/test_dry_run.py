"""A dry run refuses what the command itself would refuse, in the same words, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from phyt2v_cli import tiny
from phyt2v_cli.runs.directory import RunDir
from tests.cli.commands.test_unusable_paths import phyt2v as unprivileged
from tests.command_line import CommandLine
from tests.fake_runs import PROMPT, make_config, run_through

QUICK = ("refine", "--prompt", PROMPT, "--rounds", "1", "--min", "3", "--max", "6", "--out", "run")


def another_run(path: Path) -> None:
    run_through(path, make_config(rounds=2))


def another_run_without_its_record(path: Path) -> None:
    another_run(path)
    (path / "run.json").write_text("{")


def a_newer_run(path: Path) -> None:
    another_run(path)
    record = path / "run.json"
    record.write_text(record.read_text().replace("phyt2v.run/2", "phyt2v.run/3"))


def no_run(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("mine")


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


def tree(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (another_run, "refinement.rounds: 2 -> 1"),
        (another_run_without_its_record, "holds rounds of another prompt or config (round1.json)"),
        (a_newer_run, "upgrade phyt2v"),
        (no_run, "is not empty and holds no run"),
        (a_file, "is a file, not a folder"),
        (a_link, "is a symbolic link"),
    ],
)
def test_a_folder_that_holds_something_else(
    make: Callable[[Path], None], said: str, tmp_path: Path, phyt2v: CommandLine
) -> None:
    make(tmp_path / "run")
    before = tree(tmp_path)
    real, dry = phyt2v(*QUICK), phyt2v(*QUICK, "--dry-run")
    assert said in dry.err
    assert "--out" in dry.err or "upgrade" in dry.err or "Name the folder itself" in dry.err
    assert dry == real
    assert (dry.code, dry.out) == (3, "")
    assert tree(tmp_path) == before


def test_a_run_that_another_process_holds(tmp_path: Path, phyt2v: CommandLine) -> None:
    another_run(tmp_path / "run")
    with RunDir.resume(tmp_path / "run"):
        before = tree(tmp_path)
        real, dry = phyt2v(*QUICK, "--force"), phyt2v(*QUICK, "--force", "--dry-run")
        assert tree(tmp_path) == before
    assert dry == real
    assert dry.code == 3
    assert "is in use by process" in dry.err


@pytest.mark.slow
def test_a_run_in_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(rounds=1))
    (tmp_path / "run").chmod(0o555)
    real, dry = (unprivileged(*QUICK, *more, cwd=tmp_path) for more in ((), ("--dry-run",)))
    (tmp_path / "run").chmod(0o755)
    assert dry.stderr == real.stderr
    error, hint = dry.stderr.splitlines()
    assert "run cannot be used: permission denied" in error
    assert hint == "hint: Choose another folder with --out."
    assert (dry.returncode, real.returncode) == (3, 3)


def test_what_force_moves_aside_is_no_obstacle_and_stays_where_it_is(
    tmp_path: Path, phyt2v: CommandLine
) -> None:
    another_run(tmp_path / "run")
    before = tree(tmp_path)
    ended = phyt2v(*QUICK, "--force", "--dry-run", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["run_dir"] == "run"
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_the_model_of_an_unfinished_run_is_looked_at_too(tmp_path: Path, phyt2v: CommandLine) -> None:
    copytree(Path(tiny.__file__).parent / "model", tmp_path / "model")
    command = (*QUICK, "--preset", "tiny", "--model", "model")
    assert phyt2v(*command).code == 0
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace('"complete"', '"interrupted"'))
    (tmp_path / "run" / "output2.mp4").unlink()
    (tmp_path / "model" / "vae").rename(tmp_path / "vae")
    for words in (command, (*command, "--dry-run")):
        refused = phyt2v(*words)
        assert (refused.code, "vae is missing" in refused.err) == (4, True)


@pytest.mark.slow
def test_of_a_complete_run_nothing_would_be_rendered(tmp_path: Path, phyt2v: CommandLine) -> None:
    assert phyt2v(*QUICK).code == 0
    said = phyt2v(*QUICK, "--dry-run").err
    assert "run is complete: nothing would be rendered, and --force would run it again." in said
    assert "Would be rendered into run" in phyt2v(*QUICK, "--dry-run", "--force").err
    assert (tmp_path / "run" / "output2.mp4").is_file()


@pytest.mark.parametrize(("schedule", "steps"), [(("--min", "3", "--max", "6"), 6), (("--steps", "6,6"), 0)])
def test_the_steps_of_a_control_are_part_of_what_to_expect(
    schedule: tuple[str, ...], steps: int, phyt2v: CommandLine
) -> None:
    done = phyt2v(
        "refine", "--prompt", PROMPT, "--rounds", "1", *schedule, "--control", "--dry-run", "--json"
    )
    assert ("The control adds 6 denoising steps." in done.err) is bool(steps)
    assert json.loads(done.out)["control"] == ({"steps": steps} if steps else None)
