"""The dry run of a large set stays within its limits of memory and time."""

from pathlib import Path

import pytest

from benchmarks.large_set import MAX_MB, MAX_S, WRITERS, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_dry_run_of_100_000_prompts(name: str, tmp_path: Path) -> None:
    measured = measure(name, 100_000, tmp_path)
    assert measured["peak_mb"] <= MAX_MB
    assert measured["seconds"] <= MAX_S


def test_every_format_is_measured(tmp_path: Path) -> None:
    assert measure("set.csv", 30, tmp_path)["seconds"] > 0
