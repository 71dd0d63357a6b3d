"""A key that is not there is said first, unless all work is done."""

from pathlib import Path

import pytest

from tests.faults.processes import QUICK, Doubled

SERVED = [
    part
    for role in ("llm", "captioner", "scorer")
    for part in ("--set", f"{role}.backend=openai", "--set", f"{role}.model=m")
]


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    return Doubled(tmp_path)


def test_a_complete_run_needs_no_key(
    doubled: Doubled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    refused = doubled.run(*QUICK, *SERVED, cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "OPENAI_API_KEY is not set" in refused.err
    assert not (tmp_path / "runs").exists()
    assert doubled.calls() == []

    monkeypatch.setenv("OPENAI_API_KEY", "key")
    made = doubled.run(*QUICK, *SERVED, cwd=tmp_path)
    assert made.code == 0, made.err
    run_dir = next((tmp_path / "runs").iterdir())

    monkeypatch.delenv("OPENAI_API_KEY")
    for again in ((*QUICK, *SERVED), ("refine", "--resume", run_dir, "--trust")):
        shown = doubled.run(*again, cwd=tmp_path)
        assert shown.code == 0, shown.err
        assert Path(shown.out.strip()).name == "output2.mp4"
    assert doubled.run(*QUICK, *SERVED, "--force", cwd=tmp_path).code == 2


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["nothing", "output1.mp4", "round2.json"])
def test_a_complete_run_that_lacks_what_is_wanted_needs_the_key(
    lost: str, doubled: Doubled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    command = (*QUICK, *SERVED, "--out", tmp_path / "run")
    assert doubled.run(*command).code == 0
    if lost == "nothing":
        command = (*command, "--control")
    else:
        (tmp_path / "run" / lost).unlink()
    before = doubled.calls()

    told = doubled.run(*command, "--dry-run")
    assert told.code == 0
    assert "Would be rendered into" in told.err
    assert "is complete" not in told.err

    monkeypatch.delenv("OPENAI_API_KEY")
    for without_key in (command, (*command, "--dry-run")):
        refused = doubled.run(*without_key)
        assert refused.code == 2
        assert "OPENAI_API_KEY is not set" in refused.err
    if lost != "nothing":
        resumed = doubled.run("refine", "--resume", tmp_path / "run", "--trust")
        assert resumed.code == 2
    assert doubled.calls() == before

    monkeypatch.setenv("OPENAI_API_KEY", "key")
    done = doubled.run(*command)
    assert done.code == 0
    assert "is complete" not in done.err
    assert (tmp_path / "run" / "control.mp4").exists() == (lost == "nothing")
    assert "is complete" in doubled.run(*command).err


def test_a_run_that_stopped_early_is_complete(doubled: Doubled, tmp_path: Path) -> None:
    command = (*QUICK, "--rounds", "3", "--early-stop", "--set", "refinement.stop_score=0.1")
    command = (*command, "--out", tmp_path / "run")
    assert doubled.run(*command).code == 0
    assert not (tmp_path / "run" / "output3.mp4").exists()
    before = doubled.calls()
    assert "nothing would be rendered" in doubled.run(*command, "--dry-run").err
    assert doubled.run(*command).code == 0
    assert doubled.calls() == before
    (tmp_path / "run" / "output2.mp4").unlink()
    assert "Would be rendered into" in doubled.run(*command, "--dry-run").err
