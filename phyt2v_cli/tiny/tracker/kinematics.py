"""Kinematics of one object: its track as a continuous path, and when it flies, lies and touches.

Knows kinematics only; `motion.py` decides which of these facts break a law.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.blobs import Array, Mask
from phyt2v_cli.tiny.tracker.fixtures import Fixture
from phyt2v_cli.tiny.tracker.tracking import Track, Tracks, hidden, out_of_picture

_STILL_FRAMES = 6
"""Number of frames that make a halt: a thrown ball's height changes by 0.04 within this many around its apex,
so less is a halt."""


@dataclass(frozen=True)
class Path:
    """Path of an object: a track with gaps bridged and jumps removed; lengths in picture heights."""

    track: Track
    pivot: float | None
    x: Array
    """(T,) continuous: jumps are subtracted."""
    y: Array
    center: Array
    """(T, 2) actual position, jumps included."""
    visible: Mask
    out: Mask
    """Not seen because it left the picture."""
    hidden: Mask
    """Not seen because another object is in front of it."""
    jumps: tuple[tuple[int, float], ...]
    """Jumps: the frame of each, and its length."""
    still: Mask
    """Part of six or more frames without motion."""
    low: Mask
    """On the floor, or nearly."""
    lying: Mask
    """Part of three or more frames of lying on the floor."""
    contacts: tuple[int, ...]
    """Frames of the bounces on the floor."""
    contact: float
    """y of the centre when it touches the floor."""
    fixture: Fixture | None
    rest_height: Array
    """y of the centre if it lay on the fixture, or else on the floor, at its place."""
    on_fixture: Mask
    """On a ramp or a ledge."""

    @property
    def half_size(self) -> tuple[float, float]:
        """Half of its width and height."""
        return self.track.half_size

    @property
    def is_balloon(self) -> bool:
        """Whether it is lighter than air."""
        return self.track.shape == "balloon"

    @property
    def on_floor(self) -> bool:
        """Whether it stays on the floor all the time."""
        return float(self.low[self.visible].mean()) > 0.85

    @property
    def starts_low(self) -> bool:
        """Whether it lies on the floor at first."""
        return bool(self.low[self.visible][:3].all())

    @property
    def travel(self) -> float:
        """Distance travelled to the right, without jumps."""
        x = self.x[self.visible]
        return float(x[-1] - x[0])

    @property
    def start_speed_per_s(self) -> float:
        """Speed to the right over the first five frames seen, per s."""
        frames = np.flatnonzero(self.visible)[:5]
        return float(np.polyfit(frames, self.x[frames], 1)[0]) * world.FPS if len(frames) > 2 else 0.0

    @property
    def _flights(self) -> list[npt.NDArray[np.int64]]:
        """Frames of free flights: seen, off the floor, moving, between bounces and jumps."""
        free = self.visible & ~self.still & (self.y < self.contact - 0.02) & ~self.on_fixture
        cuts = {*self.contacts, *(frame for frame, _ in self.jumps)}
        stretches: list[npt.NDArray[np.int64]] = []
        for start, stop in runs(free):
            inner = [c for c in cuts if start < c < stop]
            stretches += np.split(np.arange(start, stop), [c - start for c in sorted(inner)])
        return stretches

    @property
    def flight_start(self) -> int:
        """First frame in the air."""
        return next((int(f[0]) for f in self._flights if len(f)), 0)

    @property
    def flight_speed_per_s(self) -> float:
        """Speed to the right in its first flight of three frames or more, per s."""
        for f in self._flights:
            if len(f) >= 3:
                return float(np.polyfit(f, self.x[f], 1)[0]) * world.FPS
        return 0.0

    @property
    def starts_upward(self) -> bool:
        """Whether it is going up when it is first seen."""
        f = np.flatnonzero(self.visible)[:3]
        return len(f) == 3 and bool(self.y[f[2]] < self.y[f[0]] - 0.05)

    @property
    def gravity_ratio(self) -> float | None:
        """Acceleration in flight over the world's gravity, averaged over long flights; None without one."""
        weights, ratios = [], []
        for f in self._flights:
            if len(f) >= 5 and np.ptp(self.y[f]) > 0.08:
                fit = np.polyfit(f, self.y[f], 2)
                if np.abs(np.polyval(fit, f) - self.y[f]).max() > 0.03:
                    continue  # something happened within it, so it was no free flight
                weights.append(float(len(f)) ** 3)
                ratios.append(2 * float(fit[0]) * world.FPS**2 / world.GRAVITY)
        return float(np.average(ratios, weights=weights)) if ratios else None


def prepare(track: Track, tracks: Tracks) -> Path:
    """Make the path of one of `tracks`."""
    visible = track.visible
    frames, seen = np.arange(len(visible)), np.flatnonzero(visible)
    center = np.stack([np.interp(frames, seen, track.center[seen, k]) for k in (0, 1)], axis=1)
    jumps, smooth = _take_out_jumps(center, visible)
    x, y = smooth[:, 0], smooth[:, 1]
    contact = world.FLOOR_Y - track.half_size[1]
    low = np.abs(y - contact) < 0.05
    still = _still(smooth, visible, _STILL_FRAMES, 0.035, 0.024)
    fixture = tracks.fixture
    rest_height = fixture.rest_height(x, track.half_size[1]) if fixture else np.full_like(x, contact)
    lying = _still(smooth, visible, 3, np.inf, 0.02) & low
    hung = min(tracks.objects, key=lambda o: float(o.center[np.argmax(o.visible), 1]))
    return Path(
        track=track,
        pivot=tracks.pivot if track is hung else None,
        x=x,
        y=y,
        center=center,
        visible=visible,
        out=out_of_picture(track, tracks.width),
        hidden=hidden(track, tracks.objects, fixture),
        jumps=jumps,
        still=still,
        low=low,
        lying=lying,
        contacts=_contacts(y, contact),
        contact=contact,
        fixture=fixture,
        rest_height=rest_height,
        on_fixture=(rest_height < contact - 0.01) & (np.abs(y - rest_height) < 0.06),
    )


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Runs of True in a mask, as (start, stop)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _take_out_jumps(center: Array, visible: Mask) -> tuple[tuple[tuple[int, float], ...], Array]:
    """Find jumps, steps unlike those before and after, and subtract them from the path."""
    steps = np.diff(center, axis=0)
    known = visible[1:] & visible[:-1]
    jumps, smooth = [], center.copy()
    for i in np.flatnonzero(known):
        around = [steps[j] for j in (i - 1, i + 1) if 0 <= j < len(steps) and known[j]]
        if not around:
            continue
        surprise = np.min([np.abs(steps[i] - s) for s in around], axis=0)
        # a bounce reverses the vertical speed within a frame, so there only more than any fall counts
        sudden = np.array([surprise[0] > 0.12, surprise[1] > 0.16 and abs(steps[i][1]) > 0.2])
        if sudden.any():
            jumps.append((int(i) + 1, float(np.linalg.norm(steps[i]))))
            smooth[i + 1 :] -= np.where(sudden, steps[i] - np.median(around, axis=0), 0)
    return tuple(jumps), smooth


def _still(path: Array, visible: Mask, n: int, x_range: float, y_range: float) -> Mask:
    """Mask of the frames in all windows of `n` seen frames that stay within the ranges."""
    still = np.zeros(len(path), dtype=bool)
    for i in range(len(path) - n + 1):
        window = path[i : i + n]
        if visible[i : i + n].all() and np.ptp(window[:, 0]) < x_range and np.ptp(window[:, 1]) < y_range:
            still[i : i + n] = True
    return still


def _contacts(y: Array, contact: float) -> tuple[int, ...]:
    """Frames in which a path is lowest near the floor, between two frames that are clearly higher."""
    frames = []
    for start, stop in runs(y > contact - 0.12):
        low = start + int(np.argmax(y[start:stop]))
        rises = [low]
        # within one stay near the floor there may be several small bounces
        for i in range(start + 1, stop - 1):
            lowest = y[i] >= y[i - 1] and y[i] > y[i + 1] and y[i] > contact - 0.06
            if lowest and all(abs(i - r) > 2 for r in rises):
                rises.append(i)
        frames += [
            r
            for r in sorted(rises)
            if y[:r].min(initial=contact) < y[r] - 0.02 and y[r + 1 :].min(initial=contact) < y[r] - 0.02
        ]
    return tuple(frames)


def speed_per_s(p: Path, frames: npt.NDArray[np.int64]) -> float:
    """Speed to the right over `frames`, per s."""
    return float(np.polyfit(frames, p.x[frames], 1)[0]) * world.FPS


def touch_frame(p: Path, q: Path) -> int | None:
    """Frame at which two objects are closest, if they come close enough to touch; else None."""
    gap = np.abs(p.center[:, 0] - q.center[:, 0]) - p.half_size[0] - q.half_size[0]
    gap = np.where(p.visible & q.visible, gap, np.inf)
    return int(gap.argmin()) if gap.min() < 0.06 else None


def pass_frame(p: Path, q: Path) -> int | None:
    """Frame at which two objects at one height have changed sides, or overlap deeply; else None."""
    both = p.visible & q.visible
    dx = q.center[:, 0] - p.center[:, 0]
    level = np.abs(p.center[:, 1] - q.center[:, 1]) < 0.5 * (p.half_size[1] + q.half_size[1])
    deep = np.abs(dx) < 0.5 * (p.half_size[0] + q.half_size[0])
    frames = np.flatnonzero(both)
    if not len(frames):
        return None
    swapped = np.sign(dx) != np.sign(dx[frames[0]])
    through = both & level & (deep | swapped)
    return int(np.argmax(through)) if through.any() else None
