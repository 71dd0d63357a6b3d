"""Means with bootstrap intervals, against scipy and against what is known of the mean."""

import math

import numpy as np
import pytest
from scipy import stats

from phyt2v_cli.sets.summary.statistics import LEVEL, NUM_RESAMPLES, SEED, Mean, mean_with_interval


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(5).beta(2, 3, 40)
    expected = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=LEVEL,
        n_resamples=NUM_RESAMPLES,
        method="percentile",
        batch=100,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    found = mean_with_interval(list(values))
    assert found == Mean(round(values.mean(), 4), round(expected.low, 4), round(expected.high, 4))
    assert mean_with_interval(list(values)) == found


def test_the_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(6).uniform(size=400)
    found = mean_with_interval(list(values))
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.004),
        pytest.approx(values.mean() + half, abs=0.004),
    )


def test_few_or_equal_values() -> None:
    assert mean_with_interval([]) == Mean(None, None, None)
    assert mean_with_interval([0.25]) == Mean(0.25, None, None)
    assert mean_with_interval([0.5, 0.5, 0.5]) == Mean(0.5, 0.5, 0.5)
    assert str(mean_with_interval([-0.00001, -0.00001])) == str(Mean(0.0, 0.0, 0.0))
