"""The examples of docs/scripting.md run, and leave what the page says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables with which a shell finds phyt2v, in a folder of programs of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"phyt2v": [sys.executable, "-m", "phyt2v_cli"], "python3": [sys.executable]}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / name).chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def run(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def run_shell(word: str, folder: Path, environment: dict[str, str]) -> str:
    """Run the one example that has a word; returns its stdout."""
    (example,) = [text for text in SHELL if word in text]
    return run(["bash", "-c", example], folder, environment)


def test_exit_codes(tmp_path: Path, environment: dict[str, str]) -> None:
    said = run_shell("case $code", tmp_path, environment)
    assert said.startswith("wrong settings: error: there is no preset 'huge'")


def test_error_codes(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_shell("error.json", tmp_path, environment) == ""


@pytest.mark.slow
def test_isolated(tmp_path: Path, environment: dict[str, str]) -> None:
    del environment["PHYT2V_ISOLATED"]
    (tmp_path / "phyt2v.toml").write_text("not TOML\n")
    assert run_shell("PHYT2V_ISOLATED", tmp_path, environment) == ""
    assert json.loads((tmp_path / "settings.json").read_text())["preset"] == "tiny"
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert [video["steps"] for video in plan["videos"]] == [10, 20, 30]


@pytest.mark.slow
def test_one_prompt(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_shell("cp ", tmp_path, environment) == ""
    assert (tmp_path / "result.mp4").read_bytes() == (tmp_path / "ball" / "output2.mp4").read_bytes()


@pytest.mark.slow
def test_json(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_shell("rounds.tsv", tmp_path, environment) == ""
    rows = [line.split("\t") for line in (tmp_path / "rounds.tsv").read_text().splitlines()]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("1", "2", "output1.mp4"),
        ("2", "3", "output2.mp4"),
    ]


@pytest.mark.slow
def test_many_prompts(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_shell("phyt2v batch", tmp_path, environment) == ""
    assert len((tmp_path / "videos.txt").read_text().splitlines()) == 2


@pytest.mark.slow
def test_python(tmp_path: Path, environment: dict[str, str]) -> None:
    (example,) = PYTHON
    run_dir, steps = run([sys.executable, "-c", example], tmp_path, environment).split()
    assert run_dir.startswith("runs/a-red-ball-drops-")
    assert int(steps) == 174  # the default schedule


def test_every_shell_example_has_a_test() -> None:
    assert len(SHELL) == 6
