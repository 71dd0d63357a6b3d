"""Means with bootstrap intervals. Plain arithmetic; knows no score, run or file."""

from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.95
NUM_RESAMPLES = 1000
SEED = 0
METHOD = "percentile bootstrap of the mean over prompts"
_BATCH = 100
"""Resamples that are in memory at a time."""


class Mean(NamedTuple):
    """Mean and the interval around it; None if there are too few values."""

    mean: float | None
    low: float | None
    high: float | None


def mean_with_interval(values: Sequence[float]) -> Mean:
    """Mean of `values` with its bootstrap interval, the same whenever it is computed.

    Without values there is no mean; of a single one there is no interval.
    """
    if len(values) < 2:
        return Mean(_rounded(values[0]) if values else None, None, None)
    import numpy as np
    from scipy import stats

    interval = stats.bootstrap(
        (np.asarray(values, dtype=np.float64),),
        np.mean,
        confidence_level=LEVEL,
        n_resamples=NUM_RESAMPLES,
        batch=_BATCH,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Mean(_rounded(float(np.mean(values))), _rounded(interval.low), _rounded(interval.high))


def _rounded(value: float) -> float:
    return round(float(value), 4) + 0.0  # no negative zero
