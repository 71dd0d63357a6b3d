"""A judge and a captioner as weak as wanted: another one's scores with noise, its captions with errors.

What they say of a video is the same whenever it is asked. What the benchmarks share.
"""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from phyt2v_cli.roles import Scores, VideoCaptioner, VideoScorer
from phyt2v_cli.tiny.knowledge import normalise, physics, states
from phyt2v_cli.tiny.language import parse_prompt

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


@dataclass(frozen=True)
class WeakCaptioner:
    """Captioner of the embedded world that errs about physics: it misses faults, or sees one that is not."""

    captioner: VideoCaptioner
    """Its captions say what is seen in the first sentence, and faults in the others, as the tracker's do."""
    error: float
    """Share of videos about whose physics it says the opposite."""

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption a video; whether this is an error follows from its bytes."""
        known = self.captioner.caption(video_path, instruction)
        draw = random.Random(b"caption" + hashlib.sha256(video_path.read_bytes()).digest())
        if draw.random() >= self.error:
            return known
        course, *faults = known.split(". ")
        return f"{course.rstrip('.')}." if faults else f"{course} {draw.choice(_faults_of(course))}"


def _faults_of(course: str) -> list[str]:
    """Return sentences of faults that the motion of a caption can have, and that the rulebook understands."""
    kind = parse_prompt(course).kind
    oddities = [o for o in physics().oddities.values() if kind is None or kind in o.kinds]
    return [
        f"{oddity.seen[:1].upper()}{oddity.seen[1:]}."
        for oddity in oddities
        if any(states(normalise(oddity.seen), phrase) for phrase in oddity.phrases)
    ]


def error_for(pc: Sequence[float], correlation: float) -> float:
    """Return the `WeakCaptioner.error` with which "is sound" as it says correlates so much with the truth.

    `pc` are the scores of videos like those that it will see; 1 is sound. Raises ValueError if all are sound,
    or none.
    """
    sound = float(np.mean(np.array(pc) == 1))
    if sound in (0, 1):
        raise ValueError("all videos are sound, or none is, so nothing can be told apart")

    def correlation_at(error: float) -> float:
        said = sound * (1 - error) + (1 - sound) * error
        return sound * (1 - error - said) / math.sqrt(sound * (1 - sound) * said * (1 - said))

    return _where(correlation_at, correlation, 0.5)


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

    return _where(correlation_at, correlation, 16.0)


def _where(falling: Callable[[float], float], value: float, most: float) -> float:
    """Return where a falling function has a value, between 0 and `most`."""
    low, high = 0.0, most
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > value else (low, middle)
    return high


def _cut(score: float) -> float:
    return min(1.0, max(0.0, score))
