"""Means with bootstrap intervals, against scipy and against what is known of the mean."""

import math

import numpy as np
import pytest
from scipy import stats

from phyt2v_cli.sets.summary.statistics import (
    LEVEL,
    NORMAL_FROM,
    NUM_RESAMPLES,
    SEED,
    Mean,
    mean_with_interval,
)


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
    found = mean_with_interval(list(values), range(40))
    assert found == Mean(round(values.mean(), 4), round(expected.low, 4), round(expected.high, 4))
    assert mean_with_interval(list(values), range(40)) == found


@pytest.mark.parametrize("num_values", [400, NORMAL_FROM])
def test_the_interval_is_near_the_normal_one(num_values: int) -> None:
    values = np.random.default_rng(6).uniform(size=num_values)
    found = mean_with_interval(list(values), range(num_values))
    half = 1.96 * values.std(ddof=1) / math.sqrt(num_values)
    near = 0.004 if num_values < NORMAL_FROM else 0.0002
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=near),
        pytest.approx(values.mean() + half, abs=near),
    )


@pytest.mark.parametrize("num_prompts", [200, NORMAL_FROM])
def test_seeds_that_say_the_same_add_nothing(num_prompts: int) -> None:
    values = list(np.random.default_rng(7).uniform(size=num_prompts))
    once = mean_with_interval(values, range(num_prompts))
    thrice = mean_with_interval(values * 3, [*range(num_prompts)] * 3)
    assert once == thrice


def test_prompts_with_more_seeds_count_more() -> None:
    found = mean_with_interval([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])
    assert found == Mean(0.75, 0.0, 1.0)


def test_few_or_equal_values() -> None:
    assert mean_with_interval([], []) == Mean(None, None, None)
    assert mean_with_interval([0.25], ["a"]) == Mean(0.25, None, None)
    assert mean_with_interval([0.25, 0.75], ["a", "a"]) == Mean(0.5, None, None), "two seeds of one prompt"
    assert mean_with_interval([0.5, 0.5, 0.5], "abc") == Mean(0.5, 0.5, 0.5)
    assert str(mean_with_interval([-0.00001, -0.00001], "ab")) == str(Mean(0.0, 0.0, 0.0))
