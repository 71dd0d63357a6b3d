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
