"""What changed in a round's prompt, and why it was rewritten or kept. Knows records; draws nothing.

The comparison of caption and prompt is one source, the scores are another, and they may contradict each
other. The verdict names both.
"""

from collections.abc import Collection
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from phyt2v_cli.quantities import score
from phyt2v_cli.report.template import MAX_CHARS
from phyt2v_cli.roles import Scores

if TYPE_CHECKING:
    from phyt2v_cli.runs.records import VideoRecord

MAX_DIFF_WORDS = 2000
"""Limit above which two prompts are shown without their difference, which takes quadratic time."""
_GOOD = 0.9
"""Score from which nothing is left to fix, as with `refinement.stop_score` unless set."""

_UNUSABLE = {
    "caption_unusable": "there is no caption to compare with it",
    "mismatch_unusable": "the LLM's comparison could not be used",
    "refinement_unusable": "the LLM's new prompt could not be used",
}


def verdict(
    prompt: str,
    refined_prompt: str | None,
    *,
    mismatch: str | None,
    flags: Collection[str],
    scores: Scores,
    review: str | None = None,
) -> str:
    """Why the prompt was rewritten or kept; empty if nothing came after this video, or its mismatch says why.

    `mismatch` is None if none was found, or none could be looked for, which then is in `flags`. `review` is
    the user's decision about the next prompt.
    """
    if refined_prompt is None:
        return ""
    if review in ("edited", "kept"):
        return f"{review} by you"
    is_kept = refined_prompt == prompt
    why = next((why for flag, why in _UNUSABLE.items() if flag in flags), None)
    if is_kept and why is not None:
        return f"kept: {why}"
    low = ", ".join(
        f"{name} {score(value)}"
        for name, value in (("SA", scores.semantic_adherence), ("PC", scores.physical_commonsense))
        if value is not None and value < _GOOD
    )
    if mismatch is not None:
        return "kept: its scores are high enough" if is_kept else ""
    if is_kept:
        return f"kept: the caption agrees with it{f', in spite of {low}' if low else ''}"
    return f"rewritten {f'for {low}' if low else 'in more detail'}: the caption agrees with it"


def verdict_on(record: "VideoRecord") -> str:
    """Why the prompt of a recorded round was rewritten or kept, as `verdict` says it."""
    found = record.mismatch is not None and record.mismatch.found
    return verdict(
        record.prompt,
        record.refined_prompt,
        mismatch=record.mismatch.text if record.mismatch is not None and found else None,
        flags=record.flags,
        scores=record.all_scores(),
        review=record.review,
    )


def changes_of(before: str | None, prompt: str) -> list[tuple[str, str]]:
    """Difference of a prompt from that of the round before: its words in order, in parts.

    A part is `same`, `del` or `ins`. Very long prompts are one part, since comparing takes quadratic time.
    """
    if before is None or before == prompt or max(len(before), len(prompt)) > MAX_CHARS:
        return [("same", prompt)]
    old, new = before.split(), prompt.split()
    if len(old) + len(new) > MAX_DIFF_WORDS:
        return [("same", prompt)]
    parts = []
    for kind, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        gone, come = " ".join(old[a:b]), " ".join(new[c:d])
        parts += [("same", come)] if kind == "equal" else [("del", gone), ("ins", come)]
    return [(kind, words) for kind, words in parts if words]
