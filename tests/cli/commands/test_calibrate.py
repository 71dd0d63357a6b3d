"""`phyt2v calibrate` on the embedded model, and what `refine` does with its file."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.calibration.use import read_calibration
from phyt2v_cli.config.layers import load_config
from tests.calibrations import calibration_for
from tests.command_line import CommandLine

QUICK = ("--rewrites", "1", "--max-steps", "2", "--draft-steps", "1", "--draft-caches", "none")


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    (tmp_path / "prompts.txt").write_text("a ball drops\n")
    return "prompts.txt"


@pytest.mark.slow
def test_a_calibration_is_measured_and_used(prompts: str, phyt2v: CommandLine, tmp_path: Path) -> None:
    words = ("calibrate", prompts, "--out", "c", *QUICK)
    first = phyt2v(*words)
    assert (first.code, first.out) == (0, "c/calibration.json\n"), first.err
    record, _ = read_calibration(str(tmp_path / "c" / "calibration.json"))
    assert (record.judge, record.final_steps, record.num_videos) == ("tracker", 2, 2 * 4)
    assert record.spread.num_groups == 2
    assert [(draft.name, draft.num_pairs) for draft in record.drafts] == [
        ("1 step", 2),
        ("look after 1 step", 2),
    ]
    assert record.judges[0].largest_retest_difference == 0
    assert (tmp_path / "c" / "calibration.png").is_file()
    assert "Recommended: " in first.err
    again = phyt2v(*words, "--json")
    assert again.code == 0
    assert json.loads(again.out)["schema"] == "phyt2v.calibration/1"
    assert "1 of 8" not in again.err, "nothing was rendered again"
    used = phyt2v(
        *("refine", "--prompt", "a ball drops", "--rounds", "1", "--steps", "1,2", "--candidates", "2"),
        *("--out", "run", "--calibration", "c/calibration.json", "--set", "schedule.max_steps=2"),
    )
    assert used.code == 0, used.err
    assert "search.tie is 1e-06: 2 seeds beyond the first of a prompt; 5 are needed" in used.err


def test_a_dry_run_counts(prompts: str, phyt2v: CommandLine, tmp_path: Path) -> None:
    outcome = phyt2v("calibrate", prompts, "--dry-run", "--json")
    told = json.loads(outcome.out)
    # Four prompts: two finals of 50 steps, drafts of 20, 27, 35 and 42, a look after 10, three caches at 20.
    assert told["num_videos"] == 4 * (2 + 4 + 1 + 3)
    assert told["num_steps"] == 4 * (100 + 124 + 10 + 60)
    outcome = phyt2v("calibrate", prompts, "--dry-run", "--json", "--look-at", "none")
    assert json.loads(outcome.out)["num_videos"] == 4 * (2 + 4 + 3)
    assert not (tmp_path / "calibrations").exists()


def test_a_dry_run_refuses_what_the_calibration_would(
    prompts: str, phyt2v: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    for name, said in ((prompts, "is a file"), ("full", "holds something else")):
        told = [phyt2v("calibrate", prompts, "--out", name, *more) for more in (("--dry-run",), ())]
        assert [outcome.code for outcome in told] == [3, 3]
        assert all(said in outcome.err for outcome in told)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--draft-steps", "50"], "a draft of 50 steps: a draft has from 1 to 49"),
        (["--draft-steps", "ten"], "is no list of whole numbers"),
        (["--look-at", "50"], "a draft of 50 steps: a draft has from 1 to 49"),
        (["--look-at", "0.2"], "--look-at: '0.2' is no list of whole numbers"),
        (["--draft-caches", "fast"], "--draft-caches: fast does not work on this model; what does: "),
        (["--num-seeds", "0"], "num-seeds"),
        (["--max-seconds", "-1"], "max-seconds"),
    ],
)
def test_wrong_words(words: list[str], message: str, prompts: str, phyt2v: CommandLine) -> None:
    outcome = phyt2v("calibrate", prompts, *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_too_little_time_for_one_prompt_is_said(prompts: str, phyt2v: CommandLine) -> None:
    outcome = phyt2v("calibrate", prompts, "--out", "c", *QUICK, "--max-seconds", "0")
    assert (outcome.code, outcome.out) == (1, "")
    assert "0 s were over before 4 videos of 8; the same command resumes it" in outcome.err
    assert "of 8 videos 0 are judged" in outcome.err
    assert outcome.hints() == ["hint: The same call resumes it; --max-seconds says how long."]


def test_a_calibration_of_another_model_is_ignored_and_that_is_said(
    phyt2v: CommandLine, tmp_path: Path
) -> None:
    other = load_config(environment={}, assignments=["generator.width=80"]).config
    (tmp_path / "c.json").write_text(calibration_for(other, tie=0.5).model_dump_json())
    words = ("refine", "--prompt", "a ball drops", "--candidates", "2", "--dry-run", "--calibration")
    outcome = phyt2v(*words, "c.json")
    assert outcome.code == 0
    told = "note: c.json is ignored: it was measured with other settings: generator.width: 80 -> 64"
    assert told in outcome.err.splitlines()


@pytest.mark.parametrize("command", ["refine", "batch"])
def test_a_broken_calibration_is_one_line(
    command: str, prompts: str, phyt2v: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_text("{}")
    outcome = phyt2v(command, prompts, "--calibration", "c.json", "--dry-run")
    assert outcome.code == 2
    assert outcome.errors() == [
        "error: search.calibration: c.json is no calibration: it has no schema, not phyt2v.calibration/1"
    ]
    assert outcome.hints() == ["hint: Name a file that `phyt2v calibrate` has written."]
