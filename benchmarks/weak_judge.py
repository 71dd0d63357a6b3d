"""A judge made as weak as wanted: the scores of another one with noise, the same whenever a video is judged.

What the benchmarks share.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from phyt2v_cli.roles import Scores, VideoScorer

_DRAWS = 200
"""Judgements of each video from which a rank correlation is computed."""


@dataclass(frozen=True)
class WeakJudge:
    """Scorer whose scores are those of `judge` with noise, cut to 0..1. It gives no reasons."""

    judge: VideoScorer
    noise: float
    """Standard deviation of what is added to each score."""

    @property
    def name(self) -> str:
        """Key in the record."""
        return "weak"

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Score a video; what is added follows from its bytes."""
        known = self.judge.score(video_path, prompt)
        draw = random.Random(hashlib.sha256(video_path.read_bytes()).digest())
        sa, pc = (
            None if score is None else _cut(score + draw.gauss(0, self.noise))
            for score in (known.semantic_adherence, known.physical_commonsense)
        )
        return replace(known, semantic_adherence=sa, physical_commonsense=pc, reasons=())


def noise_for(scores: Sequence[tuple[float, float]], correlation: float) -> float:
    """Return the noise with which a judge's rank correlation with itself without noise is `correlation`.

    `scores` are SA and PC of videos like those that it will judge; what is ranked is their sum, as in a run.
    Raises ValueError if all sums are the same, so that there is no order.
    """
    clean = np.tile(np.array(scores, dtype=float), (_DRAWS, 1))
    if np.ptp(clean.sum(axis=1)) == 0:
        raise ValueError("all videos have the same scores, so no judge can order them")
    added = np.random.default_rng(0).standard_normal(clean.shape)

    def correlation_at(noise: float) -> float:
        noisy = np.clip(clean + noise * added, 0, 1).sum(axis=1)
        return float(stats.spearmanr(clean.sum(axis=1), noisy).statistic)

    low, high = 0.0, 16.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if correlation_at(middle) > correlation else (low, middle)
    return high


def _cut(score: float) -> float:
    return min(1.0, max(0.0, score))
