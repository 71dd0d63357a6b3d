"""The examples of docs/scripting.md run, and leave what the page says."""

import json
import sys
from pathlib import Path

import pytest

from tests.docs.examples import examples_of, run

SHELL = examples_of("scripting.md", "bash")
PYTHON = examples_of("scripting.md", "python")


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


@pytest.mark.slow
def test_tables_and_comparisons(tmp_path: Path, environment: dict[str, str]) -> None:
    listed = [line.split("\t") for line in run_shell("data_df", tmp_path, environment).splitlines()]
    assert [row[:2] for row in listed[-2:]] == [
        ["runs/one/output2.mp4", "0"],
        ["runs/seven/output2.mp4", "7"],
    ]
    assert (tmp_path / "data_df.csv").read_text().startswith("index,prompt_1,main_object,physical_law,")
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 5
    told = json.loads((tmp_path / "compared.json").read_text())
    assert (told["page"], told["clip"]) == ("both/compare.html", "both/compare.mp4")


def test_every_shell_example_has_a_test() -> None:
    assert len(SHELL) == 7
