"""`refine --approve` on a real terminal, with a real editor."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phyt2v_cli.runs.reader import read_run

pytestmark = pytest.mark.slow
PATIENCE_S = 240


class Terminal:
    """Command on a pseudo-terminal."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "phyt2v_cli", *words],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1", **environment},
        )
        os.close(slave)
        self.seen = ""

    def wait_for(self, text: str) -> str:
        """Wait until the text is shown, and return what came since the last call."""
        deadline, start = time.monotonic() + PATIENCE_S, len(self.seen)
        while text not in self.seen[start:]:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.master, 65_536).decode(errors="replace").replace("\r", "")
                except OSError as error:  # the other end is closed
                    raise AssertionError(f"{text!r} has not come: {self.seen}") from error
        return self.seen[start:]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def begin(folder: Path, **environment: str) -> Terminal:
    words = ("--prompt", "a red ball drops", "--rounds", "2", "--steps", "1,1,2", "--out", "run")
    return Terminal(folder, "refine", *words, "--approve", **environment)


def test_a_rewrite_is_edited_and_the_final_comes_next(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "a red ball falls" > "$1"\n')
    editor.chmod(0o755)
    terminal = begin(tmp_path, EDITOR=str(editor))
    shown = terminal.wait_for("[a] > ")
    assert "asked for: a red ball drops" in shown
    assert "next prompt:" in shown
    assert "[-" in shown, "without colours, words that go are in brackets"
    terminal.type("x\n")
    terminal.wait_for("[a] > ")
    terminal.type("e\n")
    terminal.wait_for("[a] > ")
    terminal.type("f\n")
    terminal.wait_for("run/output3.mp4")
    assert terminal.process.wait(PATIENCE_S) == 0
    videos = read_run(tmp_path / "run").videos
    assert [video.review for video in videos] == ["edited", "accepted", None]
    assert videos[1].prompt == "a red ball falls"


@pytest.mark.parametrize(("typed", "code"), [("\x04", 130), (None, 130)], ids=["end of input", "Ctrl-C"])
def test_a_question_is_left_and_asked_again(typed: str | None, code: int, tmp_path: Path) -> None:
    terminal = begin(tmp_path)
    terminal.wait_for("[a] > ")
    if typed is None:
        os.kill(terminal.process.pid, signal.SIGINT)
    else:
        terminal.type(typed)
    terminal.wait_for("error: ")
    assert terminal.process.wait(PATIENCE_S) == code
    assert read_run(tmp_path / "run").record.status == "interrupted"
    again = begin(tmp_path)
    again.wait_for("[a] > ")
    again.type("k\n")
    again.wait_for("[a] > ")
    again.type("\n")
    again.wait_for("run/output3.mp4")
    assert again.process.wait(PATIENCE_S) == 0
    assert [video.review for video in read_run(tmp_path / "run").videos] == ["kept", "accepted", None]
