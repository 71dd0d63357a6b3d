"""`phyt2v extend`, `phyt2v rerender`, and the options of `refine` that steer a run, on the embedded model."""

import json
from pathlib import Path

import pytest

from tests.command_line import CommandLine

BALL = ("refine", "--prompt", "a red ball drops", "--rounds", "1", "--steps", "1,2", "--out", "run")


@pytest.mark.slow
def test_a_run_is_paused_steered_extended_and_rendered_again(phyt2v: CommandLine, tmp_path: Path) -> None:
    waiting = phyt2v(*BALL, "--stop-after", "rewrite")
    assert waiting.code == 0, waiting.err
    rewritten = waiting.out.strip()
    assert rewritten
    assert "phyt2v refine --resume run [--prompt-file FILE]" in waiting.err
    (tmp_path / "next.txt").write_text("a red ball falls down\n")
    done = phyt2v("refine", "--resume", "run", "--prompt-file", "next.txt", "--json")
    assert done.code == 0, done.err
    rounds = json.loads(done.out)["rounds"]
    assert [one["prompt"] for one in rounds] == ["a red ball drops", "a red ball falls down"]
    assert rounds[0]["review"] == "edited"
    late = phyt2v("refine", "--resume", "run", "--prompt", "too late")
    assert late.code == 2
    assert late.errors() == ["error: No rewritten prompt waits in run: it is complete."]
    more = phyt2v("extend", "run", "--rounds", "2")
    assert (more.code, more.out) == (0, "run/output3.mp4\n"), more.err
    assert phyt2v("extend", "run", "--rounds", "2").out == more.out
    again = phyt2v("rerender", "run", "1")
    assert (again.code, again.out) == (0, "run/rerender1.mp4\n"), again.err
    assert "rerender1.mp4" in again.err
    shown = json.loads(phyt2v("runs", "show", "run", "--json").out)
    assert [one["video"] for one in shown["rerenders"]] == ["rerender1.mp4"]
    assert [one["video"] for one in shown["rounds"]] == [f"output{number}.mp4" for number in (1, 2, 3)]
    assert "Round 1 again: 2 steps, final" in phyt2v("runs", "show", "run").out
    assert phyt2v(*BALL).out == "run/output3.mp4\n", "it is still the same run"


@pytest.mark.parametrize(
    "words",
    [
        ("extend", "nowhere", "--rounds", "+1"),
        ("rerender", "nowhere", "1"),
        ("refine", "--resume", "nowhere"),
    ],
    ids=str,
)
def test_who_names_no_run_is_told_how_to_find_one(words: tuple[str, ...], phyt2v: CommandLine) -> None:
    error, hint = phyt2v(*words).err.splitlines()
    assert error == "error: nowhere is no run directory"
    assert hint == "hint: Name one; `phyt2v runs` lists them."


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("extend", "nowhere", "--rounds", "+1"), 3, "nowhere is no run directory"),
        (("rerender", "nowhere", "1"), 3, "nowhere is no run directory"),
        (("extend", "nowhere", "--rounds", "two"), 2, "--rounds: 'two' is neither +N nor a number"),
        (("extend", "nowhere", "--rounds", "-1"), 2, "--rounds: '-1' is neither +N nor a number"),
        (("rerender", "nowhere", "0"), 2, "N"),
        ((*BALL, "--approve"), 2, "--approve asks a person, and this is no terminal"),
        ((*BALL, "--prompt-file", "x.txt"), 2, "--prompt-file is the next prompt of a run that waits"),
        ((*BALL, "--stop-after", "lunch"), 2, "lunch"),
    ],
)
def test_wrong_words(words: tuple[str, ...], code: int, message: str, phyt2v: CommandLine) -> None:
    outcome = phyt2v(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
