"""Capture: what libraries say reaches the logs of the command line, and is shown as before."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from phyt2v_cli.cli.journal import capture as capture_module
from phyt2v_cli.cli.journal.capture import Capture


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
    monkeypatch.setattr(capture_module, "CONFIGURED_LATE", ("a_library_of_late",))
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
    told: list[tuple[int, str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    capture = next(handler for handler in logging.root.handlers if isinstance(handler, Capture))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.root, "handlers", [capture])  # without pytest's own
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
