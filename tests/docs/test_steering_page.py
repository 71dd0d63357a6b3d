"""The examples of docs/steering.md run, and leave what the page says."""

import json
from pathlib import Path

import pytest

from tests.docs.examples import examples_of, run

pytestmark = pytest.mark.slow
TWO_COMMANDS, EXTENDED, RERENDERED = examples_of("steering.md", "bash")


def test_a_run_waits_and_takes_a_prompt(tmp_path: Path, environment: dict[str, str]) -> None:
    out = run(["bash", "-c", TWO_COMMANDS], tmp_path, environment)
    assert out == "ball/output2.mp4\n"
    assert (tmp_path / "next.txt").read_text().strip()
    record = json.loads((tmp_path / "ball" / "round2.json").read_text())
    assert record["prompt"] == "a red ball falls straight down and bounces"


def test_rounds_are_added(tmp_path: Path, environment: dict[str, str]) -> None:
    out = run(["bash", "-c", EXTENDED], tmp_path, environment)
    assert out.split() == ["ball/output2.mp4", "ball/output3.mp4", "ball/output4.mp4"]


def test_a_round_is_rendered_again(tmp_path: Path, environment: dict[str, str]) -> None:
    out = run(["bash", "-c", RERENDERED], tmp_path, environment)
    assert out.split() == ["ball/output2.mp4", "ball/rerender1.mp4", "ball/rerender1-2.mp4"]
