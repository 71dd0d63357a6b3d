"""Logs: their lines are dated and have no key in them, and a log that cannot be written is a note."""

import logging
from pathlib import Path

import pytest

from phyt2v_cli.runs.journal.appending import open_in_run
from phyt2v_cli.runs.journal.log import Log, without_keys

KEY = "sk-0123456789"


def test_each_line_has_a_time_or_goes_on_and_none_has_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN", KEY)
    log = Log(
        tmp_path / "logs" / "a.log",
        open_in_run,
        level=logging.INFO,
        key_variables=["MY_OWN"],
        on_failure=pytest.fail,
    )
    log.write(logging.DEBUG, "x", "too small")
    log.write(logging.ERROR, "x", f"Traceback:\n  {KEY}\x1b[2J")
    log.close()
    log.write(logging.ERROR, "x", "after the end")
    text = (tmp_path / "logs" / "a.log").read_text()
    assert text[4] == "-"
    assert text.partition("Z ")[2] == "ERROR x: Traceback:\n      [key]\\x1b[2J\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--set llm.base_url=https://me:pass@host/v1", "--set llm.base_url=https://[key]@host/v1"),
        ("--set llm.api_key_env=sk-12345", "--set llm.api_key_env=[key]"),
        ("--set llm.api_key_env=MY_KEY", "--set llm.api_key_env=MY_KEY"),
    ],
)
def test_a_key_on_the_command_line_is_masked(text: str, shown: str) -> None:
    assert without_keys(text, ()) == shown


@pytest.mark.parametrize("what", ["file", "link", "linked file", "pipe"])
def test_a_log_that_cannot_be_written_is_a_note(what: str, tmp_path: Path) -> None:
    import os

    target = tmp_path / "outside"
    match what:
        case "file":
            (tmp_path / "logs").write_text("")
        case "link":
            target.mkdir()
            (tmp_path / "logs").symlink_to(target)
        case "linked file":
            (tmp_path / "logs").mkdir()
            (tmp_path / "logs" / "a.log").symlink_to(target)
        case "pipe":
            (tmp_path / "logs").mkdir()
            os.mkfifo(tmp_path / "logs" / "a.log")
    notes: list[str] = []
    log = Log(tmp_path / "logs" / "a.log", open_in_run, level=0, on_failure=notes.append)
    log.write(logging.ERROR, "x", "lost")
    assert len(notes) == 1
    assert notes[0].startswith("no log in ")
    assert not target.is_file()
    assert not (target.is_dir() and list(target.iterdir()))
