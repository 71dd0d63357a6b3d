"""Why a prompt was rewritten or kept, of every combination of the sources."""

import pytest

from phyt2v_cli.report.verdict import verdict
from phyt2v_cli.roles import Scores

GOOD, BAD, NONE = Scores(0.95, 1.0), Scores(0.85, 0.4), Scores(None, None)


@pytest.mark.parametrize(
    ("refined", "mismatch", "flags", "scores", "said"),
    [
        (None, None, (), BAD, ""),
        ("p", None, (), GOOD, "kept: the caption agrees with it"),
        ("p", None, (), NONE, "kept: the caption agrees with it"),
        ("p", None, (), BAD, "kept: the caption agrees with it, in spite of SA 0.85, PC 0.40"),
        ("q", None, (), BAD, "rewritten for SA 0.85, PC 0.40: the caption agrees with it"),
        ("q", None, (), GOOD, "rewritten in more detail: the caption agrees with it"),
        ("q", "it hovers", (), BAD, ""),
        ("p", "it hovers", (), GOOD, "kept: its scores are high enough"),
        ("p", None, ("caption_unusable",), NONE, "kept: there is no caption to compare with it"),
        ("p", None, ("mismatch_unusable",), GOOD, "kept: the LLM's comparison could not be used"),
        ("p", "it hovers", ("refinement_unusable",), BAD, "kept: the LLM's new prompt could not be used"),
        ("p", None, ("score_unusable",), NONE, "kept: the caption agrees with it"),
    ],
)
def test_verdicts(
    refined: str | None, mismatch: str | None, flags: tuple[str, ...], scores: Scores, said: str
) -> None:
    assert verdict("p", refined, mismatch=mismatch, flags=flags, scores=scores) == said


@pytest.mark.parametrize(
    ("review", "said"), [("edited", "edited by you"), ("kept", "kept by you"), ("accepted", "")]
)
def test_the_decision_of_the_user_is_the_reason(review: str, said: str) -> None:
    assert verdict("p", "q", mismatch="it hovers", flags=(), scores=BAD, review=review) == said
