"""What is written at the end of a study: figures, recommendations and a plot."""

from pathlib import Path

import pytest

from phyt2v_cli.calibration.record import CalibrationRecord
from phyt2v_cli.calibration.use import read_calibration
from phyt2v_cli.errors import Phyt2vError, UsageError
from phyt2v_cli.sets.study.folder import StudyDir
from phyt2v_cli.sets.study.plot import draw_plot
from phyt2v_cli.sets.study.result import calibration_of
from tests.calibrations import calibration_for
from tests.fake_runs import make_config
from tests.fake_studies import ENTRIES, FakeStudy, StepsScorer


def calibrate(study: FakeStudy, judges: tuple[str, ...] = ("steps",)) -> CalibrationRecord:
    return calibration_of(
        study.complete(),
        study.config,
        study.design(),
        judges,
        num_prompts=len(ENTRIES),
        num_planned=study.num_planned,
        num_faulty=0,
    )


def test_the_figures_of_a_study(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s", scorers=[StepsScorer(), StepsScorer("twin")])
    record = calibrate(study, ("steps", "twin"))
    assert (record.judge, record.final_steps, record.num_videos) == ("steps", 6, 24)
    # SA is 0.9 with the first seed and 0.5 with the other: a deviation of 0.2 * sqrt(2) in each group.
    assert record.spread.semantic_adherence == record.spread.total == 0.2828
    assert (record.spread.num_groups, record.spread.noise_floor) == (6, 0.3999)
    assert [(draft.name, draft.num_pairs) for draft in record.drafts] == [("3 steps", 6), ("3 steps, pab", 6)]
    assert all(draft.num_ordered == 0 for draft in record.drafts), "all rewrites have the same score"
    (pair,) = record.judge_pairs
    assert (pair.num_videos, pair.agreement, pair.rank_semantic_adherence) == (12, 1.0, 1.0)
    assert [(judge.num_retests, judge.largest_retest_difference) for judge in record.judges] == [(6, 0)] * 2
    assert record.recommended.tie == 0.3999
    assert "torch" in record.versions


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s")
    record = calibrate(study)
    with StudyDir.open(tmp_path / "s", study.config) as folder:
        path = folder.save_result(record)
    assert read_calibration(str(path))[0] == record


def test_a_judge_that_always_abstains_measures_nothing(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s", scorers=[StepsScorer(abstains_below=99)])
    with pytest.raises(Phyt2vError, match=r"scores by steps, which abstained from 24 of them\.") as caught:
        calibrate(study)
    assert caught.value.hint == "Put a judge first that knows these videos."


def test_too_little_time_measures_nothing(tmp_path: Path) -> None:
    left = iter([False] * 2)
    study = FakeStudy(tmp_path / "s", is_over=lambda: next(left, True))
    with pytest.raises(Phyt2vError, match="of 24 videos 1 are judged") as caught:
        calibrate(study)
    assert "`max_seconds`" in caught.value.hint


@pytest.mark.parametrize("steps", [0, 6, 7])
def test_a_draft_has_fewer_steps_than_the_final(steps: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"a draft of {steps} steps: a draft has from 1 to 5"):
        FakeStudy(tmp_path).design(draft_steps=[steps])


def test_the_drafts_are_those_of_the_schedule(tmp_path: Path) -> None:
    design = FakeStudy(tmp_path, config=make_config(rounds=3)).design(draft_steps=None)
    assert [setting.steps for setting in design.drafts] == [3, 4, 5]
    assert [setting.name for setting in design.cached] == ["3 steps, pab"]
    without = FakeStudy(tmp_path).design(draft_steps=[])
    assert (without.drafts, without.cached) == ((), ())


@pytest.mark.parametrize("num_drafts", [0, 1, 100])
def test_the_plot_is_a_picture(num_drafts: int, tmp_path: Path) -> None:
    from PIL import Image

    record = calibration_for(make_config())
    shown = record.drafts[0].model_copy(
        update={"cost": 0.4, "rank_over_prompts": 0.5, "rank_within_requests": -0.5, "order_kept": 1.0}
    )
    changed = {"drafts": [shown] * num_drafts, "judge": "\x1b]0;x\x07" + "長" * 500}
    draw_plot(record.model_copy(update=changed), tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"
        assert picture.height == 170 + 56 * max(min(num_drafts, 60), 1)
        # The orange mark is at the right end of the first row, one place below its middle.
        orange = picture.convert("RGB").getpixel((920, 110 + 28 + 14))
        assert (orange == (0x9A, 0x67, 0x00)) == bool(num_drafts)
