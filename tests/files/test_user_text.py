"""The user's text files, as editors of all systems write them."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from phyt2v_cli.config.layers import load_config
from phyt2v_cli.errors import PromptError
from phyt2v_cli.files.user_text import is_blank, read_text
from phyt2v_cli.sets.prompt_file import read_prompt
from phyt2v_cli.sets.prompt_set import read_prompt_set

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]
"""Those of editors; `utf-16` has a byte order mark."""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_prompts_sets_and_settings_are_read_alike(encoding: str, tmp_path: Path) -> None:
    for name, text in [
        ("a.txt", "ein Ball fällt\n"),
        ("set.txt", "ein Ball fällt\n球\n"),
        ("set.csv", "prompt\nein Ball fällt\n球\n"),
        ("a.toml", "[run]\nseed = 7\n"),
    ]:
        (tmp_path / name).write_text(text, encoding=encoding)
    assert read_prompt(str(tmp_path / "a.txt"), None) == "ein Ball fällt"
    for name in ("set.txt", "set.csv"):
        prompts = [entry.prompt for entry in read_prompt_set(str(tmp_path / name)).entries]
        assert prompts == ["ein Ball fällt", "球"]
    assert load_config(config=tmp_path / "a.toml", environment={}).config.run.seed == 7


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_standard_input(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("fällt".encode(encoding))))
    assert read_text("-", 100, PromptError, "") == "fällt"


def test_what_another_program_writes_into_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    writer = threading.Thread(target=(tmp_path / "pipe.txt").write_text, args=("a ball",))
    writer.start()
    assert read_prompt(str(tmp_path / "pipe.txt"), None) == "a ball"
    writer.join()


@pytest.mark.parametrize("command", ["refine", "generate", "batch"])
def test_a_closed_standard_input_is_called_so(command: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$0" -m phyt2v_cli "$1" - <&-', sys.executable, command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error: standard input is closed\n" in ended.stderr


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b", "\u200d\u2060\ufeff", "\u3164", "\u2800", "\u0301", "\ufe0f"]
)
def test_what_shows_nothing(text: str) -> None:
    assert is_blank(text)
    with pytest.raises(PromptError, match="the prompt is empty"):
        read_prompt(None, text)


@pytest.mark.parametrize("text", ["a", "球", ".", "❤\ufe0f", "é", "क्षि", "\u200bx"])
def test_what_shows_something(text: str) -> None:
    assert not is_blank(text)
