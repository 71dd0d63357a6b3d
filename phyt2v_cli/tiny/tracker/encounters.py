"""Laws of motions that meet a fixture or another object: ramp, ledge, wall, push and stack."""

import numpy as np

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.findings import Finding, graded
from phyt2v_cli.tiny.tracker.kinematics import Path, runs, speed_per_s

_FEW_FRAMES = 5
"""Frames before and after a hit over which speeds are measured."""


def on_ramp(p: Path) -> list[Finding]:
    """Find climbing a ramp, stopping on it, and leaving its surface."""
    assert p.fixture is not None
    findings = []
    way = p.fixture.downhill * p.x
    climbed = np.where(p.on_fixture, np.maximum.accumulate(way) - way, 0)
    if climbed.max() > 0.06:
        frame = int(np.argmax(climbed > 0.02))
        text = f"rolls up the ramp by itself at frame {frame}"
        findings.append(Finding("self-propelled", graded(float(climbed.max()), 0.25), frame, text))
    for start, stop in runs(p.still & p.on_fixture & ~p.low):
        if stop - start >= 9:  # a ball that starts from rest seems still for up to seven frames
            text = f"stops on the ramp at frame {start} and stays there"
            findings.append(Finding("stuck", graded(stop - start, 12), start, text))
            break
    off = np.where(p.visible | p.out, p.y - p.rest_height, 0)
    if off.max() > 0.08:
        frame = int(np.argmax(off > 0.06))
        text = f"goes through the ramp at frame {frame}"
        findings.append(Finding("through-floor", graded(float(off.max()), 0.2), frame, text))
    for start, stop in runs(off < -0.1):
        if stop - start >= 4:
            text = f"hangs in the air above the ramp from frame {start}"
            findings.append(Finding("hover", graded(stop - start, 8), start, text))
            break
    return findings


def over_edge(p: Path) -> list[Finding]:
    """Find going on level past the edge of a ledge, and losing the speed sideways there."""
    assert p.fixture is not None
    to_right = p.fixture.left < 0.1  # it begins at the picture's edge
    past = p.x - p.fixture.right if to_right else p.fixture.left - p.x
    height = p.fixture.top - p.half_size[1]
    findings = []
    level = p.visible & (past > 0.14) & (np.abs(p.y - height) < 0.04)
    if level.sum() >= 2:
        frame = int(np.argmax(level))
        text = f"goes on level in the air past the edge at frame {frame}"
        findings.append(Finding("level-flight", graded(int(level.sum()), 6), frame, text))
    rolling = np.flatnonzero(p.visible & p.on_fixture)
    falling = np.flatnonzero(p.visible & (past > 0) & (p.y > height + 0.03) & (p.y < p.contact - 0.02))
    falling = falling[: _first_gap(falling)]
    if len(rolling) > 2 and len(falling) > 2 and not p.still[falling].any():
        before, after = abs(speed_per_s(p, rolling)), abs(speed_per_s(p, falling))
        if before > 0.15 and after < 0.5 * before:
            frame = int(falling[0])
            text = f"falls straight down at the edge at frame {frame}"
            findings.append(Finding("straight-fall", graded(1 - after / before, 1), frame, text))
    return findings


def _first_gap(frames: np.ndarray) -> int:
    """Number of frames up to the first gap between them."""
    gaps = np.flatnonzero(np.diff(frames) > 1)
    return int(gaps[0]) + 1 if len(gaps) else len(frames)


def behind_wall(p: Path) -> list[Finding]:
    """Find coming out from behind a wall at another time than the speeds before and after tell."""
    for start, stop in runs(p.hidden):
        before, after = np.flatnonzero(p.visible[:start])[-5:], np.flatnonzero(p.visible[stop:])[:5] + stop
        if len(before) < 3 or len(after) < 3:
            continue
        speed = 0.5 * (speed_per_s(p, before) + speed_per_s(p, after))
        step = float(p.x[after[0]] - p.x[before[-1]])
        early = abs(step - speed * (after[0] - before[-1]) / world.FPS)
        if early > 0.12:
            text = f"comes out from behind the wall at the wrong time at frame {stop}"
            return [Finding("jump", graded(early, 0.2), stop, text)]
    return []


def pushed(p: Path, q: Path) -> list[Finding]:
    """Find a hit that does not keep the momentum; masses are as the cubes of the sizes."""
    gap = np.abs(p.center[:, 0] - q.center[:, 0]) - p.half_size[0] - q.half_size[0]
    both = p.visible & q.visible
    gap = np.where(both, gap, np.inf)
    if gap.min() > 0.06:
        return []
    touch = int(np.argmax(gap < gap.min() + 0.015))
    before = np.arange(max(0, touch - _FEW_FRAMES), touch)
    after = np.arange(touch + 1, min(len(both), touch + 1 + _FEW_FRAMES))
    seen = both[before].all() and both[after].all()
    if len(before) < 3 or len(after) < 3 or not seen:
        return []
    at_first, at_last = (
        sum(min(o.half_size) ** 3 * speed_per_s(o, frames) for o in (p, q)) for frames in (before, after)
    )
    change = abs(at_last - at_first) / abs(at_first)
    if change < 0.4:
        return []
    text = f"touch at frame {touch}, and the push is not passed on"
    return [Finding("momentum", graded(change, 1), touch, text)]


def unhit(ball: Path, bob: Path) -> list[Finding]:
    """Find rolling away from a pendulum that has not reached the ball yet."""
    gap = np.abs(ball.center[:, 0] - bob.center[:, 0]) - ball.half_size[0] - bob.half_size[0]
    moved = np.abs(ball.x - ball.x[0])
    apart = np.logical_and.accumulate(ball.visible & bob.visible & (gap > 0.03))
    early = apart & (moved > 0.05)
    if not early.any():
        return []
    frame = int(np.argmax(early))
    text = f"rolls away by itself before it is hit at frame {frame}"
    return [Finding("self-propelled", 1.0, frame, text)]


def toppling(p: Path, q: Path) -> list[Finding]:
    """Find a stack that hangs tilted in the air, and blocks that fly up."""
    upper, lower = sorted((p, q), key=lambda o: float(o.y[0]))
    findings = []
    for o in (upper, lower):
        rise = np.where(o.visible, o.y[0] - o.y, 0)
        if rise.max() > 0.1:
            frame = int(np.argmax(rise > 0.03))
            text = f"fly up by themselves at frame {frame}"
            findings.append(Finding("leap", graded(float(rise.max()), 0.3), frame, text))
            break
    beside = np.abs(upper.x - lower.x) > 0.5 * upper.half_size[0]
    for start, stop in runs(upper.still & ~upper.low & beside):
        text = f"stop tilted and hang in the air from frame {start}"
        findings.append(Finding("hover", graded(stop - start, 8), start, text))
        break
    return findings
