"""Means with bootstrap intervals, and the sign test. Plain arithmetic; knows no score, run or file."""

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
NUM_RESAMPLES = 1000
SEED = 0
METHOD = "percentile bootstrap of the mean, with all runs of a prompt drawn together"
NORMAL_FROM = 2000
"""Prompts from which the interval is the normal one, which is then nearly the same and takes no time."""
_BATCH = 100
"""Resamples that are in memory at a time."""


class Mean(NamedTuple):
    """Mean and the interval around it; None if there are too few prompts."""

    mean: float | None
    low: float | None
    high: float | None


def mean_with_interval(values: Sequence[float], units: Sequence[Hashable]) -> Mean:
    """Mean of `values` with its interval, the same whenever it is computed.

    Values of the same unit (runs of one prompt with several seeds) are not independent, so an interval is
    that of a mean over units. Without values there is no mean; of a single unit there is no interval.
    """
    if not values:
        return Mean(None, None, None)
    sums: dict[Hashable, float] = {}
    counts: dict[Hashable, int] = {}
    for unit, value in zip(units, values, strict=True):
        sums[unit] = sums.get(unit, 0.0) + value
        counts[unit] = counts.get(unit, 0) + 1
    mean = math.fsum(values) / len(values)
    if len(sums) < 2:
        return Mean(_rounded(mean), None, None)
    import numpy as np

    of_units = np.array(list(sums.values())), np.array(list(counts.values()), dtype=np.float64)
    low, high = (_normal if len(sums) >= NORMAL_FROM else _bootstrap)(*of_units)
    return Mean(_rounded(mean), _rounded(low), _rounded(high))


def sign_test(differences: Sequence[float], units: Sequence[Hashable]) -> float | None:
    """p value of the two-sided sign test: whether as many units differ upwards as downwards.

    Differences of the same unit are added up first. None if no unit differs.
    """
    sums: dict[Hashable, float] = {}
    for unit, difference in zip(units, differences, strict=True):
        sums[unit] = sums.get(unit, 0.0) + difference
    signs = [value > 0 for value in sums.values() if value]
    if not signs:
        return None
    from scipy import stats

    return _rounded(stats.binomtest(sum(signs), len(signs)).pvalue)


def _bootstrap(sums: "NDArray[np.float64]", counts: "NDArray[np.float64]") -> tuple[float, float]:
    """Interval of ``sum(sums) / sum(counts)``, shapes (units,), from resamples of the units."""
    import numpy as np
    from scipy import stats

    def mean(
        sums: "NDArray[np.float64]", counts: "NDArray[np.float64]", axis: int = -1
    ) -> "NDArray[np.float64]":
        return np.asarray(sums.sum(axis) / counts.sum(axis))

    found = stats.bootstrap(
        (sums, counts),
        mean,
        paired=True,
        confidence_level=LEVEL,
        n_resamples=NUM_RESAMPLES,
        batch=_BATCH,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _normal(sums: "NDArray[np.float64]", counts: "NDArray[np.float64]") -> tuple[float, float]:
    """Interval of the same ratio from its variance (Cochran, Sampling Techniques, 1977, section 6.4)."""
    mean = float(sums.sum() / counts.sum())
    num_units = len(sums)
    variance = float(((sums - mean * counts) ** 2).sum()) * num_units / (num_units - 1) / counts.sum() ** 2
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * math.sqrt(variance)
    return mean - half, mean + half


def _rounded(value: float) -> float:
    return round(float(value), 4) + 0.0  # no negative zero
