"""What a record says of its later starts: the versions that they went on with."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.report.page import write_report
from phyt2v_cli.runs import attempts, opening
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.command_line import CommandLine
from tests.fake_runs import make_config, run_through


def fail_in(path: Path) -> None:
    with pytest.raises(RuntimeError):
        run_through(path, make_config(1), FakeRoles(scorer=FakeScorer(error=RuntimeError("a test"))))


def record(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((path / "run.json").read_text())
    return content


@pytest.mark.parametrize("how", ["the same command", "resume"])
def test_versions_are_noted_when_they_change(
    how: str, tmp_path: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    fail_in(path)
    fail_in(path)
    first = record(path)
    assert first["later_versions"] == []

    after_an_upgrade = {**attempts.installed_versions(), "torch": "99.0"}
    monkeypatch.setattr(opening, "installed_versions", lambda: after_an_upgrade)
    if how == "resume":
        RunDir.resume(path).close()
    run_through(path, make_config(1))
    run_through(path, make_config(1))
    assert record(path)["versions"] == first["versions"]
    assert record(path)["later_versions"] == [after_an_upgrade]
    assert json.loads(phyt2v("runs", "show", "run", "--json").out)["later_versions"] == [after_an_upgrade]
    assert "then torch 99.0" in write_report(path).read_text()

    monkeypatch.setattr(opening, "installed_versions", lambda: {"phyt2v": "later"})
    complete = (path / "run.json").read_bytes()
    run_through(path, make_config(1))  # does nothing
    RunDir.resume(path).close()
    assert (path / "run.json").read_bytes() == complete


def test_no_more_than_the_last_attempts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    fail_in(path)
    for number in range(103):
        monkeypatch.setattr(opening, "installed_versions", lambda number=number: {"phyt2v": str(number)})
        RunDir.resume(path).close()
    later = record(path)["later_versions"]
    assert later == [{"phyt2v": str(number)} for number in range(3, 103)]
