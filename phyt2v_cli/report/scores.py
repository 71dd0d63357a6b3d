"""Disagreement of several scorers about one video. Plain arithmetic; knows no record and no terminal."""

from collections.abc import Iterable
from typing import NamedTuple

from phyt2v_cli.roles import Scores


class Disagreement(NamedTuple):
    """Disagreement of scorers: highest minus lowest score, 0..1; None if fewer than two gave one."""

    semantic_adherence: float | None
    physical_commonsense: float | None

    def largest(self) -> tuple[str, float] | None:
        """Larger of both values with its short name, ``SA`` or ``PC``; None if there is none."""
        known = [(name, value) for name, value in zip(("SA", "PC"), self, strict=True) if value is not None]
        return max(known, key=lambda pair: pair[1], default=None)


def disagreement(scores: Iterable[Scores]) -> Disagreement:
    """Disagreement of the scorers of one video in SA and in PC."""
    pairs = [(one.semantic_adherence, one.physical_commonsense) for one in scores]
    apart = []
    for values in zip(*pairs, strict=True) if pairs else ((), ()):
        known = [value for value in values if value is not None]
        apart.append(round(max(known) - min(known), 4) if len(known) > 1 else None)
    return Disagreement(*apart)
