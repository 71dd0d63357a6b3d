"""Choice of the video that a run returns, among finals only: a draft's score says nothing about a final's."""

from collections.abc import Sequence
from typing import Literal

from phyt2v_cli.config.judges import Decide
from phyt2v_cli.config.schema import EQUAL
from phyt2v_cli.runs.outcome.candidates import are_comparable, best_of
from phyt2v_cli.runs.records import VideoRecord


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
