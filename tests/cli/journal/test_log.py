"""Logs: what libraries say reaches them and is shown as before, and no key does."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from phyt2v_cli.cli.journal import log as log_module
from phyt2v_cli.cli.journal.appending import open_in_run
from phyt2v_cli.cli.journal.log import Capture, Log, without_keys

KEY = "sk-0123456789"


@pytest.fixture
def told() -> Iterator[list[tuple[int, str, str]]]:
    lines: list[tuple[int, str, str]] = []
    with warnings.catch_warnings():
        capture = Capture(lambda *line: lines.append(line))
        yield lines
        capture.detach()


def test_a_library_that_shows_errors_only_gives_its_warnings_to_the_log(
    told: list[tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_module, "CONFIGURED_LATE", ("a_library_of_late",))
    with warnings.catch_warnings():
        capture = Capture(lambda *line: told.append(line))
        library = logging.getLogger("a_library_of_late")  # what diffusers does when it is imported
        library.addHandler(logging.StreamHandler())
        library.setLevel(logging.ERROR)
        library.propagate = False
        logging.getLogger("a_library_of_late.models").warning("cut to %d", 77)
        library.error("broken")
        library.info("no news")
        capture.detach()
    said = [line for line in told if line[1].startswith("a_library")]
    assert said == [
        (logging.WARNING, "a_library_of_late.models", "cut to 77"),
        (logging.ERROR, "a_library_of_late", "broken"),
    ]
    assert capfd.readouterr().err == "broken\n"


def test_a_logger_without_handlers_is_shown_as_before(
    told: list[tuple[int, str, str]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = next(handler for handler in logging.root.handlers if isinstance(handler, Capture))
    monkeypatch.setattr(logging.root, "handlers", [capture])  # without pytest's own
    logging.getLogger("a_library_alone").error("lost")
    logging.getLogger("a_library_alone").error("wrong %d", "arguments")
    assert [line[2] for line in told if line[1] == "a_library_alone"] == ["lost", "wrong %d"]
    assert "lost" in capfd.readouterr().err


def test_warnings_of_python_are_logged_and_those_of_libraries_not_shown(
    recwarn: pytest.WarningsRecorder, told: list[tuple[int, str, str]]
) -> None:
    warnings.showwarning("old", DeprecationWarning, "/site-packages/diffusers/x.py", 3)
    warnings.showwarning("odd", UserWarning, "/mine/y.py", 4)
    assert [line[1:] for line in told] == [
        ("DeprecationWarning", "old (/site-packages/diffusers/x.py:3)"),
        ("UserWarning", "odd (/mine/y.py:4)"),
    ]
    assert [str(warning.message) for warning in recwarn] == ["odd"]


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
