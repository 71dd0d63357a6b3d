"""Numbers as people read them."""

import pytest

from phyt2v_cli import quantities


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (20_000, "20,000 videos")]
)
def test_counts(number: int, text: str) -> None:
    assert quantities.count(number, "video") == text


def test_an_irregular_plural() -> None:
    assert [quantities.count(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (0.0, "0.0 s", "0 s"),
        (0.00004, "0.0 s", "under 0.001 s"),
        (0.0385, "0.0 s", "0.0385 s"),
        (3.6, "3.6 s", "3.6 s"),
        (59.97, "1m 00s", "1m 00s"),
        (2000, "33m 20s", "33m 20s"),
        (7643, "2h 07m", "2h 07m"),
    ],
)
def test_durations(seconds: float, text: str, short: str) -> None:
    assert (quantities.duration(seconds), quantities.short_duration(seconds)) == (text, short)


@pytest.mark.parametrize(
    ("size", "text"), [(2**19, "0.5 MiB"), (2**20 * 9.96, "10 MiB"), (2**31, "2,048 MiB")]
)
def test_sizes(size: int, text: str) -> None:
    assert quantities.mebibytes(size) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.4, "0.40"), (1.0, "1.00")])
def test_scores(value: float | None, text: str) -> None:
    assert quantities.score(value) == text
