"""The end of a run: what it says on which stream, and in which order."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.cli.running.closing import close_run, result_as_shown
from phyt2v_cli.report import contact_sheet
from tests.fake_runs import make_config, open_run, run_through


def close(path: Path, *, as_json: bool = False, control: bool = False) -> None:
    """Complete a run in a folder, and end it."""
    config = make_config(rounds=1, control=control)
    result = run_through(path, config)
    with open_run(path, config) as run:
        close_run(run, result, result_as_shown(run, result), as_json=as_json)


@pytest.mark.slow
def test_the_end_says_how_to_compare_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a run"
    close(path)
    told = capsys.readouterr()
    assert told.out == f"{path}/output2.mp4\n"
    assert "The same command with --control adds the original prompt at 6 steps, to compare." in told.err
    assert told.err.endswith(
        f"All rounds: {path}/rounds.mp4\nReport: {path}/report.html\nNext: phyt2v report '{path}' --open\n"
    )
    close(path, control=True)
    told = capsys.readouterr()
    assert "--control" not in told.err
    assert "Nothing improved: the original scores as high as the last round" in told.err
    assert f"Original beside result: {path}/compare.mp4" in told.err
    # what is there is compared with, though this call did not ask for it
    close(path)
    told = capsys.readouterr()
    assert "control.mp4" in told.err
    assert "--control" not in told.err
    close(path, as_json=True)
    assert json.loads(capsys.readouterr().out)["control"]["video"] == "control.mp4"


def test_the_result_is_told_even_if_drawing_is_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(contact_sheet, "draw_if_possible", interrupt)
    with pytest.raises(KeyboardInterrupt):
        close(tmp_path / "run", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["video"], told["clips"]) == (
        f"{tmp_path}/run/output2.mp4",
        {"compare": None, "rounds": None},
    )
    with pytest.raises(KeyboardInterrupt):
        close(tmp_path / "run")
    assert capsys.readouterr().out == f"{tmp_path}/run/output2.mp4\n"
