"""Programs that examples of the docs call."""

import os
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables with which a shell finds phyt2v, in a folder of programs of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"phyt2v": [sys.executable, "-m", "phyt2v_cli"], "python3": [sys.executable]}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / name).chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
