"""Candidates, finals and controls from the command line, on the embedded model."""

import json
from pathlib import Path

import pytest

from tests.command_line import CommandLine

FEW = ("--min", "2", "--max", "4")


@pytest.mark.slow
def test_a_search_with_all_controls(phyt2v: CommandLine) -> None:
    done = phyt2v(
        "refine",
        *("--prompt", "a red ball drops", "--rounds", "1", *FEW, "--candidates", "2"),
        *("--set", "search.vary=both", "--set", "search.finals=2", "--controls", "original,blind,best-of-n"),
        *("--out", "run", "--json"),
    )
    assert done.code == 0, done.err
    tree = json.loads(done.out)
    assert [entry["round"] for entry in tree["rounds"]] == [1, 2]
    assert len(tree["candidates"]) == 2
    assert {entry.get("candidate", "") for entry in [*tree["rounds"], *tree["candidates"]]} == {"", "b"}
    assert set(tree["controls"]) == {"original", "blind", "best-of-n"}
    # 2 drafts of 2 steps and 2 finals of 4: 12 steps pay for 3 seeds at 4.
    assert tree["controls"]["best-of-n"]["num_videos"] == 3
    assert tree["controls"]["blind"]["prompt"] != "a red ball drops"
    assert Path(tree["video"]).name in {"output2.mp4", "output2.b.mp4"}
    assert "best of 3 seeds SA" in " ".join(done.err.split())
    for entry in [*tree["rounds"], *tree["candidates"], *tree["controls"].values()]:
        assert (phyt2v.folder / "run" / entry["video"]).is_file()
    shown = phyt2v("runs", "show", "run")
    assert shown.code == 0
    for label in ("Round 1, candidate b", "Control, seed c", "Blind rewrite"):
        assert label in shown.out
    assert phyt2v("report", "run").code == 0
    page = (phyt2v.folder / "run" / "report.html").read_text("utf-8")
    for name in ("output1.b.mp4", "output2.b.mp4", "control.c.mp4", "blind.mp4"):
        assert f'src="{name}"' in page
    again = phyt2v("refine", "--resume", "run")
    assert (again.code, Path(again.out.strip()).name) == (0, Path(tree["video"]).name)
    assert "is complete" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--candidates", "0"), "does not fit: it should be greater than or equal to 1"),
        (("--candidates", "27"), "does not fit: it should be less than or equal to 26"),
        (
            ("--candidates", "9", "--set", "search.budget=equal"),
            "174 denoising steps do not pay for 9 candidates a round and 1 final",
        ),
        (("--controls", "orignal"), "refinement.controls: entry 1: 'orignal' does not fit"),
        (("--set", "search.vary=everything"), "search.vary: 'everything' does not fit"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_searches_are_refused_in_a_line(
    words: tuple[str, ...], message: str, phyt2v: CommandLine
) -> None:
    for command in (("refine", "--prompt", "a ball"), ("preview-schedule",)):
        if command == ("preview-schedule",) and words[0] != "--set":
            words = (
                "--set",
                f"{'search' if words[0] == '--candidates' else 'refinement'}"
                f".{words[0].removeprefix('--')}={words[1]}",
                *words[2:],
            )
        refused = phyt2v(*command, *words)
        assert refused.code == 2
        assert message in " ".join(refused.err.split())
        assert not (phyt2v.folder / "runs").exists()


def test_the_plan_shows_candidates_and_controls(phyt2v: CommandLine) -> None:
    settings = ("--set", "search.candidates=3", "--set", "search.budget=equal", "--set")
    shown = phyt2v("preview-schedule", *settings, "refinement.controls=original,blind")
    assert "3 x 6" in shown.out
    assert "170 steps instead of 250" in shown.out
    assert "The 2 controls add 100 denoising steps" in shown.out
    tree = json.loads(phyt2v("preview-schedule", "--json", *settings, "refinement.controls=blind").out)
    assert [(entry["steps"], entry.get("candidates", 1)) for entry in tree["videos"]] == [
        (6, 3),
        (9, 3),
        (11, 3),
        (14, 3),
        (50, 1),
    ]
    assert tree["total_steps"] == 170
    assert tree["controls"] == [{"video": "blind.mp4", "steps": 50}]
    planned = json.loads(
        phyt2v("refine", "--prompt", "a ball", "--candidates", "2", "--dry-run", "--json").out
    )
    assert [entry.get("candidates") for entry in planned["videos"]] == [2, 2, 2, 2, None]
