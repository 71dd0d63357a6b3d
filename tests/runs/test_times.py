"""Times in the records: of each attempt, and of each video."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.runs import opening
from phyt2v_cli.runs.attempts import MAX_ATTEMPTS
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.command_line import CommandLine
from tests.fake_runs import make_config, run_through


def record(path: Path, name: str = "run.json") -> dict[str, object]:
    content: dict[str, object] = json.loads((path / name).read_text())
    return content


def tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock be a second later than the one before."""
    seconds = iter(range(60))
    monkeypatch.setattr(opening, "utc_now", lambda: f"2026-01-02T03:04:{next(seconds):02}Z")


def test_each_attempt_with_something_to_do_has_its_times(
    tmp_path: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(monkeypatch)
    path = tmp_path / "run"
    with pytest.raises(RuntimeError):
        run_through(path, make_config(1), FakeRoles(scorer=FakeScorer(error=RuntimeError("a test"))))
    failed = {"started": "2026-01-02T03:04:00Z", "finished": "2026-01-02T03:04:01Z"}
    assert record(path)["attempts"] == [failed]
    for _ in range(2):  # the second one finds nothing to do
        run_through(path, make_config(1), FakeRoles())
        completed = {"started": "2026-01-02T03:04:02Z", "finished": "2026-01-02T03:04:03Z"}
        assert record(path)["attempts"] == [failed, completed]
    assert json.loads(phyt2v("runs", "show", str(path), "--json").out)["attempts"] == [failed, completed]
    video = record(path, "round1.json")
    assert str(video["started"]) <= str(video["finished"])


def test_a_record_without_times_is_read_and_gone_on_with(tmp_path: Path, phyt2v: CommandLine) -> None:
    path = tmp_path / "run"
    with pytest.raises(RuntimeError):
        run_through(path, make_config(1), FakeRoles(scorer=FakeScorer(error=RuntimeError("a test"))))
    for file in path.glob("*.json"):
        old = {key: value for key, value in record(path, file.name).items() if key not in TIMES}
        file.write_text(json.dumps(old))
    assert json.loads(phyt2v("runs", "show", str(path), "--json").out)["attempts"] == []
    run_through(path, make_config(1), FakeRoles())
    assert record(path)["status"] == "complete"
    assert len(json.loads((path / "run.json").read_text())["attempts"]) == 1


TIMES = {"attempts", "started", "finished"}


def test_no_more_attempts_are_kept_than_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(1), FakeRoles())
    run = record(path)
    attempt = {"started": "2026-01-02T03:04:05Z", "finished": None}
    run |= {"attempts": [attempt] * MAX_ATTEMPTS, "status": "interrupted"}
    (path / "run.json").write_text(json.dumps(run))
    (path / "round2.json").unlink()
    run_through(path, make_config(1), FakeRoles())
    attempts = json.loads((path / "run.json").read_text())["attempts"]
    assert len(attempts) == MAX_ATTEMPTS
    assert attempts[-1]["finished"] is not None
