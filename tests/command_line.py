"""The command line in this process: what a new one does, without a second for each import of torch."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from phyt2v_cli.cli.exit import run


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    def hints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("hint: ")]


@dataclass(frozen=True)
class CommandLine:
    """Call it with the words after ``phyt2v``; it works in `folder`."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Outcome:
        self.capsys.readouterr()
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr(sys, "argv", ["phyt2v", *words])
        # A command that leaves a thread at work ends its process at once; this one has more tests to do.
        self.monkeypatch.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit) as leaving:
            run()
        await_abandoned_work()
        out, err = self.capsys.readouterr()
        assert isinstance(leaving.value.code, int)
        return Outcome(leaving.value.code, out, err)


def await_abandoned_work() -> None:
    """Wait for threads that a command left at work, as one that loads: no other test may load beside it."""
    from phyt2v_cli.backends import background
    from phyt2v_cli.sets import overlap

    deadline = time.monotonic() + 120
    while (background.is_at_work() or overlap.is_at_work()) and time.monotonic() < deadline:
        time.sleep(0.02)


def assignments(settings: dict[str, object]) -> list[str]:
    """Return the words that set `settings`."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def sizes(num_frames: int, height: int, width: int) -> dict[str, object]:
    """Return the settings of a video's size."""
    return {
        "generator.num_frames": num_frames,
        "generator.height": height,
        "generator.width": width,
    }
