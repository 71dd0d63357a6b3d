"""Requests to a run from another process."""

from pathlib import Path

import pytest

from phyt2v_cli.errors import RunDirError, RunInterruptedError
from phyt2v_cli.events import Event, StepDone
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.stopping import NAME, StopFile, request_stop
from phyt2v_cli.testing.fakes import FakeRoles
from tests.fake_runs import make_config, run_through


def ask_at_the_first_step(path: Path, request: str, roles: FakeRoles) -> None:
    def emit(event: Event) -> None:
        roles.events.append(event)
        if isinstance(event, StepDone) and len(roles.generator.denoised) == 1:
            (path / NAME).write_text(request)

    run_through(path, make_config(3), roles, emit=emit)


def test_a_run_stops_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phyt2v_cli.runs.stopping.ASKED_EVERY_S", 0.0)
    path, roles = tmp_path / "run", FakeRoles()
    with pytest.raises(RunInterruptedError):
        ask_at_the_first_step(path, "now", roles)
    assert read_run(path).record.status == "interrupted"
    assert len(roles.generator.denoised) == 1
    assert len(run_through(path, make_config(3)).rounds) == 4, "an old request stops no new process"
    assert not (path / NAME).exists()


def test_the_final_comes_after_the_round_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phyt2v_cli.runs.stopping.ASKED_EVERY_S", 0.0)
    path, roles = tmp_path / "run", FakeRoles()
    ask_at_the_first_step(path, "final", roles)
    assert [steps for _, _, steps in roles.generator.denoised] == [3, 6]
    assert read_run(path).record.stop_reason == "user"
    again = FakeRoles()
    run_through(path, make_config(3), again)
    assert not again.worked()


@pytest.mark.parametrize("content", [b"", b"never", b"\xff" * 50, b"now" * 100])
def test_what_is_no_request_changes_nothing(content: bytes, tmp_path: Path) -> None:
    asked = StopFile(tmp_path)
    (tmp_path / NAME).write_bytes(content)
    assert not asked.wants("now")
    assert not asked.wants("final")


def test_nobody_is_asked_if_nobody_works(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(0))
    with pytest.raises(RunDirError, match="No process works on"):
        request_stop(tmp_path / "run", "now")
    assert not (tmp_path / "run" / NAME).exists()
