"""Review of a rewritten prompt before its video is rendered: what is proposed, and what is decided.

Knows no terminal; the command line asks a person, a program may decide by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from phyt2v_cli.roles import Scores


@dataclass(frozen=True)
class Proposal:
    """Rewritten prompt, and the video that it was made from."""

    round: int
    """Round of that video, from 1."""
    total_rounds: int
    original_prompt: str
    prompt: str
    """Prompt of that video."""
    proposed_prompt: str
    caption: str | None
    mismatch: str | None
    """None if nothing was found."""
    scores: Scores


@dataclass(frozen=True)
class Decision:
    """Decision on a proposal."""

    prompt: str
    """Prompt of the next video: the proposed one, the one before, or another."""
    is_final: bool = False
    """Whether the next video is the final, and the rounds between are left out."""


Review = Callable[[Proposal], Decision]
"""Callback that decides on each rewritten prompt."""
