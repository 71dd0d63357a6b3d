"""Choice of the video that a run returns, among finals only: a draft's score says nothing about a final's."""

from collections.abc import Sequence
from typing import Literal

from phyt2v_cli.config.judges import Decide
from phyt2v_cli.config.schema import EQUAL
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.candidates import are_comparable, best_of
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import ResultRecord, VideoRecord
from phyt2v_cli.video_id import RerenderId


def select_result_of(
    run: RunDir, rounds: Sequence[VideoRecord], controls: Sequence[VideoRecord]
) -> ResultRecord:
    """Select the result of a run, by its settings; finals that were rendered again count as well."""
    again = [
        video
        for video in read_videos(run.path)[0]
        if isinstance(video.id, RerenderId) and video.purpose == "final" and video.scores is not None
    ]
    chosen, selected_by = select_result(
        rounds,
        [*again, *controls],
        run.config.refinement.select,
        decide=run.config.scorer.decide,
        tie=run.config.search.tie,
    )
    return ResultRecord(id=chosen.id, video=chosen.video, prompt=chosen.prompt, selected_by=selected_by)


def select_result(
    rounds: Sequence[VideoRecord],
    controls: Sequence[VideoRecord],
    select: Literal["last", "best"],
    *,
    decide: Decide = "first",
    tie: float = EQUAL,
) -> tuple[VideoRecord, str]:
    """Select the resulting video, and the rule that decided: ``last``, ``best`` or ``last_unscored``.

    `best` is the final with the highest sum of SA and PC, or with the best mean rank. Of those within `tie`
    of that sum a video that is not stilled is taken, then the later round, and any round before a control. If
    a final lacks a score that another has, or all of them, there is nothing to compare, and the last round is
    taken.
    """
    finals = [*(record for record in reversed(rounds) if record.purpose == "final"), *controls]
    if select == "last" or len(finals) < 2:
        return rounds[-1], "last"
    if not are_comparable(finals, decide):
        return rounds[-1], "last_unscored"
    return best_of(finals, decide, tie), "best"
