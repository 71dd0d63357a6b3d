"""Plot of SA and PC over rounds: where its lines, dots and labels are. Knows scores only; draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from phyt2v_cli.events import Purpose

Interval = tuple[float, float]

_WIDTH, _LEFT, _TOP, _BOTTOM = 440, 34, 18, 158
_LINE_HEIGHT = 16
_SHIFT = 5
"""Shift of SA to the left and of PC to the right, so that their intervals are told apart."""


@dataclass(frozen=True)
class Point:
    """Scores at one place of the plot."""

    label: str
    """Lines below the plot; empty for none."""
    purpose: Purpose
    sa: float | None
    pc: float | None
    sa_interval: Interval | None = None
    pc_interval: Interval | None = None
    is_joined: bool = True
    """Whether the curves go through it."""


@dataclass(frozen=True)
class Dot:
    """Score of one round, at its place in the plot, and the ends of its interval, if it has one."""

    x: float
    y: float
    purpose: Purpose
    is_joined: bool
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Plot:
    """Plot of SA and PC. Places are in units of the view box."""

    width: int
    height: int
    left: int
    """Left end of the horizontal lines."""
    bottom: int
    levels: list[tuple[str, float]]
    """Labels of the horizontal lines, and their y."""
    labels: list[tuple[float, list[str]]]
    """Lines below the plot, by x."""
    names: Sequence[str]
    """Names of these lines, at the left."""
    sa: list[Dot]
    pc: list[Dot]


def plot_of(points: Sequence[Point], names: Sequence[str] = ()) -> Plot | None:
    """Plot of the points, evenly spaced; None without any. `names` are those of the lines of the labels."""
    if not points:
        return None
    first = _LEFT + (32 if names else 16)
    gap = (_WIDTH - 24 - first) / max(len(points) - 1, 1)
    places = [(round(first + n * gap, 1), point) for n, point in enumerate(points)]
    labels = [(x, point.label.splitlines()) for x, point in places if point.label]
    num_lines = max((len(lines) for _, lines in labels), default=1)
    shift = _SHIFT if any(point.sa_interval or point.pc_interval for point in points) else 0
    return Plot(
        _WIDTH,
        _BOTTOM + _LINE_HEIGHT * (num_lines + 1),
        _LEFT,
        _BOTTOM,
        levels=[("1", _TOP), ("0.5", (_TOP + _BOTTOM) / 2), ("0", _BOTTOM)],
        labels=labels,
        names=names,
        sa=[
            _dot(x - shift, point.sa, point.sa_interval, point) for x, point in places if point.sa is not None
        ],
        pc=[
            _dot(x + shift, point.pc, point.pc_interval, point) for x, point in places if point.pc is not None
        ],
    )


def _dot(x: float, score: float, interval: Interval | None, point: Point) -> Dot:
    low, high = (_y(interval[0]), _y(interval[1])) if interval is not None else (None, None)
    return Dot(round(x, 1), _y(score), point.purpose, point.is_joined, low, high)


def _y(score: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * score, 1)
