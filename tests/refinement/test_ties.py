"""Videos that differ by no more than the noise: the earlier one is kept, and the choice stays what it was."""

from pathlib import Path

import pytest

from phyt2v_cli.config.schema import Config, SearchConfig
from phyt2v_cli.refinement.selection import select_result
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.outcome.candidates import best_of
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import STILLED, ScoresRecord, VideoRecord
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId
from tests.fake_runs import make_config, run_through


def video(id: VideoId, total: float | None, *flags: str) -> VideoRecord:
    score = None if total is None else total / 2
    return VideoRecord(
        id=id,
        prompt="p",
        steps=6,
        purpose="final",
        seed=0,
        video=id.video_name,
        run_key="k",
        flags=list(flags),
        scores=ScoresRecord(semantic_adherence=score, physical_commonsense=score),
    )


@pytest.mark.parametrize(
    ("totals", "tie", "best"),
    [
        ([0.5, 0.7], 0.1, "b"),
        ([0.5, 0.7], 0.3, ""),
        ([0.0, 0.3, 0.6], 0.4, "b"),
        ([0.3, 0.0, 0.6], 0.4, ""),
        ([None, 0.0], 1.9, "b"),
        ([None, None], 1.9, ""),
    ],
    ids=["above the noise", "below it", "a ladder", "within reach of the best", "no score", "no scores"],
)
def test_the_first_within_the_noise_of_the_best(totals: list[float | None], tie: float, best: str) -> None:
    candidates = [video(RoundId(1, name), total) for name, total in zip(("", "b", "c"), totals, strict=False)]
    assert best_of(candidates, tie=tie).id == RoundId(1, best)


def test_a_stilled_video_loses_a_tie_within_the_noise() -> None:
    candidates = [video(RoundId(1), 1.0, STILLED), video(RoundId(1, "b"), 0.9)]
    assert best_of(candidates, tie=0.2).id == RoundId(1, "b")
    assert best_of(candidates, tie=0.05).id == RoundId(1)


def test_a_control_must_be_better_by_more_than_the_noise() -> None:
    rounds, controls = [video(RoundId(2), 1.0)], [video(CONTROL, 1.1)]
    assert select_result(rounds, controls, "best", tie=0.2)[0].id == RoundId(2)
    assert select_result(rounds, controls, "best", tie=0.05)[0].id == CONTROL


def searching(tie: float) -> Config:
    return make_config(1).model_copy(update={"search": SearchConfig(candidates=2, tie=tie)})


@pytest.mark.parametrize(("tie", "best"), [(0.3, ""), (0.1, "b")])
def test_the_loop_goes_by_it_and_a_resumed_run_keeps_its_choice(
    tie: float, best: str, tmp_path: Path
) -> None:
    by_video = {"output1.b.mp4": Scores(0.6, 0.6)}
    run_through(tmp_path / "run", searching(tie), FakeRoles(scorer=FakeScorer(by_video=by_video)))
    chosen = [record.id for record in read_run(tmp_path / "run").videos if record.is_chosen]
    assert chosen == [RoundId(1, best)]
    again = FakeRoles()
    run_through(tmp_path / "run", searching(tie), again)
    assert not again.worked()
