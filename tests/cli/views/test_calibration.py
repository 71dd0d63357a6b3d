"""A calibration in words and as a table."""

from rich.console import Console

from phyt2v_cli.calibration.record import JudgePairRecord, JudgeRecord
from phyt2v_cli.cli.views.calibration import calibration_table, line_of_video, lines_of
from phyt2v_cli.runs.records import ScorerRecord
from phyt2v_cli.sets.study.folder import StudyVideo
from phyt2v_cli.sets.study.running import VideoDone
from tests.calibrations import calibration_for
from tests.fake_runs import make_config

RECORD = calibration_for(make_config(), tie=0.25, draft_cache="pab")


def test_the_table_fits_a_terminal_and_no_name_is_cut() -> None:
    longest = {"name": "50 steps, first-block", "order_kept": 0.5, "num_ordered": 1234, "keeps_order": True}
    drafts = [RECORD.drafts[0].model_copy(update=longest), RECORD.drafts[0]]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(calibration_table(RECORD.model_copy(update={"drafts": drafts})))
    first, second = [line for line in captured.get().splitlines() if "steps" in line and "finals" not in line]
    assert "50 steps, first-block" in first
    assert "0.50 of 1,234" in first
    assert first.rstrip().endswith("yes")
    assert second.rstrip().endswith("too few")


def test_what_was_measured_and_what_was_not() -> None:
    judges = [
        JudgeRecord(name="a", num_videos=9, num_abstained=2, num_retests=0),
        JudgeRecord(
            name="b",
            num_videos=9,
            num_abstained=0,
            num_retests=1,
            mean_retest_difference=0.1,
            largest_retest_difference=0.2,
        ),
    ]
    pair = JudgePairRecord(first="a", second="b", num_videos=7, num_compared=6, agreement=0.5)
    lines = list(lines_of(RECORD.model_copy(update={"judges": judges, "judge_pairs": [pair]})))
    assert "noise floor 0.25." in lines[0]
    assert lines[1] == "Judge a: abstained from 2 of 9 videos; no retest."
    assert "differs by 0.10 on average and 0.20 at most, over 1 video." in lines[2]
    assert "0.50 of 6 on the same side of 0.9" in lines[3]
    assert lines[4] == "20 steps: of 8 good drafts 7 had a good final (stop score 0.9)."
    assert lines[5] == "look after 10 steps: of 3 suspects 1 had a good final (stop score 0.9)."
    assert lines[6] == "Recommended: search.tie=0.25, generator.draft_cache=pab."
    unmeasured = RECORD.model_copy(update={"spread": RECORD.spread.model_copy(update={"total": None})})
    assert next(iter(lines_of(unmeasured))).startswith("Noise: not measured")


def test_a_line_for_each_video() -> None:
    video = StudyVideo(rewrite=2, seed=7, steps=20, cache="pab", is_final=False, pixels_key="k")
    done = VideoDone("ball", video, 3, 1200)
    assert line_of_video(done, 61) == (
        "3 of 1,200 after 1m 01s: ball, rewrite 2, seed 7, 20 steps, pab: no picture"
    )
    video.scorers["judge"] = [ScorerRecord(semantic_adherence=0.5)]
    assert line_of_video(done, 1).endswith("SA 0.50, PC -")
