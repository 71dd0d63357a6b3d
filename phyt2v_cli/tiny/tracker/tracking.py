"""Tracking: follow the objects of the embedded world through the frames of a video.

An object is a solid blob of a palette colour in front of the known background. This file knows no law of
motion and no wording; it measures what is there and how cleanly it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from phyt2v_cli.files.video import Frames
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.blobs import (
    BOX,
    FOREGROUND,
    Array,
    Blob,
    Mask,
    background,
    find_blobs,
    find_string,
    palette_index,
    shrink,
    why_foreign,
)
from phyt2v_cli.tiny.tracker.fixtures import Fixture, find_fixture, put_into


@dataclass(frozen=True)
class Track:
    """Track of one object through T frames. Lengths in picture heights; NaN in frames without it."""

    color: world.Color
    shape: world.Shape
    center: Array
    """(T, 2) as x, y. If the picture's edge cuts the object, its centre is extrapolated."""
    half_size: tuple[float, float]
    """Half of its width and height."""
    visible: Mask
    clean: Mask
    """(T,) whether it is seen as one blob of its usual size."""
    new_color: tuple[int, world.Color] | None = None
    """Frame at which its colour changes, and the new colour."""


@dataclass(frozen=True)
class Tracks:
    """All tracks of a video of `num_frames` frames, `width` picture heights wide."""

    objects: tuple[Track, ...]
    num_frames: int
    width: float
    clean: Mask
    """(T,) whether every object of the video is one clean blob and nothing else is there."""
    pivot: float | None = None
    """x of the point that a string hangs from; None if no string is seen."""
    fixture: Fixture | None = None
    """Ramp, ledge or wall."""
    foreign: str | None = None
    """Why these frames are not of this world; None if they are."""


def track(frames: Frames) -> Tracks:
    """Track the objects in uint8 `frames` (num_frames, height, width, 3).

    `foreign` is set if they show another world.
    """
    picture = shrink(frames)
    t, h, w = picture.shape[:3]
    scenery = np.repeat(background(h)[:, None], w, axis=1)
    found_fixture = find_fixture(picture)
    if found_fixture:
        put_into(scenery, picture, found_fixture[1])
    fixture = found_fixture[0] if found_fixture else None
    difference = np.linalg.norm(picture - scenery, axis=3)
    foreground = difference > FOREGROUND
    core = palette_index(picture, foreground)
    foreign = why_foreign(foreground, core)
    if foreign:
        return Tracks((), t, w / h, np.zeros(t, dtype=bool), foreign=foreign)
    blobs, smeared, strings = [], np.zeros(t), []
    for i in range(t):
        found, rest = find_blobs(core[i], foreground[i], difference[i])
        blobs.append(found)
        smeared[i] = ndimage.binary_opening(rest, BOX).sum() / h**2
        strings.append(find_string(picture[i], rest, found))
    objects = _follow(blobs, h, w, fixture)
    clean = smeared < 0.004
    for o in objects:
        clean &= o.clean | out_of_picture(o, w / h) | hidden(o, objects, fixture)
    hung = [s for s in strings if s is not None]
    pivot = float(np.median(hung)) / h if len(hung) >= max(3, 0.5 * sum(bool(b) for b in blobs)) else None
    if pivot is not None and len(objects) == 2:
        # the string makes a small ball look longer
        objects = [replace(o, shape="ball") if o.shape == "balloon" else o for o in objects]
    return Tracks(tuple(objects), t, w / h, clean, pivot, fixture)


def _follow(blobs: list[list[Blob]], h: int, w: int, fixture: Fixture | None) -> list[Track]:
    """Choose the objects that last, and link their blobs through time."""
    everything = [b for found in blobs for b in found]
    if not everything:
        return []
    typical = max(
        float(np.median([b.area for b in everything if b.color == c])) for c in {b.color for b in everything}
    )
    chains: list[list[Blob | None]] = []
    for color in sorted({b.color for b in everything}):
        of_color = [
            sorted((b for b in found if b.color == color), key=lambda b: -b.area)[:2] for found in blobs
        ]
        size, present = typical, sum(bool(f) and f[0].area > 0.4 * typical for f in of_color)
        if present < max(3, 0.12 * len(blobs)):
            # a much smaller thing counts if it is seen apart from the others
            apart = [f[0].area for f in of_color if f and f[0].area > 0.2 * typical and not f[0].covered]
            if len(apart) < max(3, 0.2 * len(blobs)):
                continue
            size, present = float(np.median(apart)), len(apart)
        twins = sum(len(f) == 2 and f[1].area > 0.5 * f[0].area for f in of_color)
        if twins > 0.5 * present:
            chains += _link_twins(of_color)
        else:
            chains.append([f[0] if f and f[0].area > 0.15 * size else None for f in of_color])
    tracks = [_measure(chain, blobs, h, w, fixture, may_turn=len(chains) == 2) for chain in chains]
    return _join_recolored(tracks, fixture)


def _link_twins(of_color: list[list[Blob]]) -> list[list[Blob | None]]:
    """Link two objects of one colour by the shorter total distance."""
    chains: list[list[Blob | None]] = [[], []]
    last: list[Array | None] = [None, None]
    for found in of_color:
        pair: list[Blob | None] = [*sorted(found, key=lambda b: float(b.center[0])), None, None][:2]

        def way(order: list[Blob | None], last: list[Array | None] = last) -> float:
            return sum(
                float(np.linalg.norm(b.center - p))
                for b, p in zip(order, last, strict=True)
                if b is not None and p is not None
            )

        if way(pair[::-1]) < way(pair):
            pair = pair[::-1]
        for k, b in enumerate(pair):
            chains[k].append(b)
            last[k] = b.center if b is not None else last[k]
    return chains


def _measure(
    chain: list[Blob | None],
    blobs: list[list[Blob]],
    h: int,
    w: int,
    fixture: Fixture | None,
    *,
    may_turn: bool,
) -> Track:
    """Measure one object; `may_turn`: it may be a block of a stack, which turns as the stack topples."""
    seen = [b for b in chain if b is not None]
    sides = [_side_of_wall(b, fixture, h) if b else 0 for b in chain]
    uncut = [b for b, s in zip(chain, sides, strict=True) if b and not any(b.cut) and not s] or seen
    upright = _upright(uncut) if may_turn else []
    whole = upright or [b for b in uncut if not b.covered] or seen
    width, height = (float(np.median([b.extent[k] for b in whole])) for k in (0, 1))
    area = float(np.median([b.area for b in whole]))
    fill = float(np.median([b.area / (b.extent[0] * b.extent[1]) for b in whole]))
    shape: world.Shape = "cube" if upright or fill > 0.88 else "balloon" if height / width > 1.17 else "ball"
    center = np.full((len(chain), 2), np.nan)
    clean = np.zeros(len(chain), dtype=bool)
    for i, b in enumerate(chain):
        if b is None:
            continue
        center[i] = _uncut_center(b, width, height, h, w) / h
        if fixture and sides[i]:
            wall_x = fixture.left if sides[i] < 0 else fixture.right
            center[i, 0] = wall_x + sides[i] * (b.extent[0] - width / 2) / h
        partial = any(b.cut) or b.covered or sides[i] != 0
        alone = sum(o.color == b.color for o in blobs[i]) == 1
        clean[i] = alone and b.area < 1.4 * area and (partial or b.area > 0.65 * area)
    colors = np.array([b.color for b in seen])
    return Track(
        color=world.COLORS[int(np.bincount(colors).argmax())],
        shape=shape,
        center=center,
        half_size=(width / 2 / h, height / 2 / h),
        visible=np.array([b is not None for b in chain]),
        clean=clean,
    )


def _side_of_wall(b: Blob, fixture: Fixture | None, h: int) -> int:
    """Side of a wall at which a blob touches it, so that a part may be behind it: -1 left, 1 right, or 0."""
    if fixture is None or fixture.kind != "wall":
        return 0
    # the middle of what is seen of a ball is off its centre of area by less than a pixel and a half
    gaps = fixture.left * h - b.center[0] - b.extent[0] / 2, b.center[0] - b.extent[0] / 2 - fixture.right * h
    return 0 if max(gaps) > 1.5 else -1 if gaps[0] > gaps[1] else 1


def _upright(blobs: list[Blob]) -> list[Blob]:
    """Blobs of a cube that turns, in the frames in which it stands upright; nothing if none does."""
    area = np.array([b.area for b in blobs])
    spread = np.array([b.extent[0] * b.extent[1] for b in blobs])
    full = area > 0.85 * np.median(area)
    least = np.sort(spread[full])[:2].max()  # in two frames, since one may be odd
    upright = full & (spread < 1.15 * least)
    # it has one area, unlike a ball that is partly covered, and in all but its upright frames a wider outline
    turns = spread[full].max() > 1.3 * least and np.median(area[upright] / spread[upright]) > 0.83
    turns &= full.mean() > 0.8
    return [b for b, u in zip(blobs, upright, strict=True) if u and turns]


def _uncut_center(b: Blob, width: float, height: float, h: int, w: int) -> Array:
    x, y = b.center
    left, right, top, bottom = b.cut
    if left != right:
        x = b.extent[0] - width / 2 if left else w - b.extent[0] + width / 2
    if top != bottom:
        y = b.extent[1] - height / 2 if top else h - b.extent[1] + height / 2
    return np.array([x, y])


def _join_recolored(tracks: list[Track], fixture: Fixture | None) -> list[Track]:
    """Join a track that ends with one of another colour that begins there, or behind the same wall.

    One object changed its colour.
    """

    def behind_wall(*places: Array) -> bool:
        return (
            fixture is not None
            and fixture.kind == "wall"
            and all(fixture.left - 0.12 < p[0] < fixture.right + 0.12 for p in places)
        )

    joined: list[Track] = []
    for late in sorted(tracks, key=lambda o: int(np.argmax(o.visible))):
        start = int(np.argmax(late.visible))
        for k, early in enumerate(joined):
            end = len(early.visible) - 1 - int(np.argmax(early.visible[::-1]))
            places = early.center[end], late.center[start]
            near = np.linalg.norm(places[0] - places[1]) < 0.15 or behind_wall(*places)
            if end - start <= 1 and near:
                first = early.visible & ~(late.visible & (np.arange(len(late.visible)) > end))
                joined[k] = Track(
                    early.color,
                    early.shape,
                    np.where(first[:, None], early.center, late.center),
                    early.half_size,
                    early.visible | late.visible,
                    np.where(first, early.clean, late.clean),
                    (start, late.color),
                )
                break
        else:
            joined.append(late)
    return joined


def out_of_picture(o: Track, width: float) -> Mask:
    """Mask of the frames in which an object is unseen because it left the picture."""
    gone = np.zeros(len(o.visible), dtype=bool)
    seen = np.flatnonzero(o.visible)
    for i in np.flatnonzero(~o.visible):
        before, after = seen[seen < i], seen[seen > i]
        if len(before):
            gone[i] = _leaves(o, int(before[-1]), -1, width)
        elif len(after):
            gone[i] = _leaves(o, int(after[0]), 1, width)
    return gone


def hidden(o: Track, objects: Sequence[Track], fixture: Fixture | None) -> Mask:
    """Mask of the frames in which an object is unseen because another one or a wall is in front of it."""
    covered = np.zeros(len(o.visible), dtype=bool)
    seen, frames = np.flatnonzero(o.visible), np.arange(len(o.visible))
    center = np.stack([np.interp(frames, seen, o.center[seen, k]) for k in (0, 1)], axis=1)
    for other in objects:
        if other is not o:
            reach = np.array(o.half_size) + other.half_size
            # blocks of a stack stand beside each other; a small ball is hidden only well within a large one
            depth = 0.5 if o.shape == other.shape == "cube" else 0.9
            larger = max(other.half_size[0] - o.half_size[0] - 0.02, 0)
            away = np.abs(center - np.where(other.visible[:, None], other.center, np.inf))
            near = away < depth * reach - 0.6 * larger
            covered |= near.all(axis=1)
    if fixture is not None and fixture.kind == "wall":
        last = seen[-5:]
        if len(last) > 2:  # after it was seen last, it should have gone on
            speed = np.polyfit(last, o.center[last, 0], 1)[0]
            center[:, 0] += np.where(frames > seen[-1], speed * (frames - seen[-1]), 0)
        half = o.half_size[0]
        covered |= (center[:, 0] > fixture.left - half) & (center[:, 0] < fixture.right + half)
    return covered & ~o.visible


def _leaves(o: Track, frame: int, step: int, width: float) -> bool:
    """Check if the object, last (`step` -1) or first (+1) seen at `frame`, was about to cross the edge."""
    x, y = o.center[frame]
    earlier = frame + step
    if 0 <= earlier < len(o.visible) and o.visible[earlier]:
        x, y = o.center[frame] + 1.3 * (o.center[frame] - o.center[earlier])
    hx, hy = o.half_size
    return bool(x < 0.3 * hx or x > width - 0.3 * hx or y < 0.3 * hy or y > 1 - 0.3 * hy)
