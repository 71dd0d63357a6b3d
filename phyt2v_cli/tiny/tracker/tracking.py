"""Tracking: follow the objects of the embedded world through the frames of a video.

An object is a solid blob of a palette colour in front of the known background. This file knows no law of
motion and no wording; it measures what is there and how cleanly it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    foreign: str | None = None
    """Why these frames are not of this world; None if they are."""


def track(frames: Frames) -> Tracks:
    """Track the objects in uint8 `frames` (num_frames, height, width, 3).

    `foreign` is set if they show another world.
    """
    picture = shrink(frames)
    t, h, w = picture.shape[:3]
    difference = np.linalg.norm(picture - background(h)[None, :, None], axis=3)
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
    objects = _follow(blobs, h, w)
    clean = smeared < 0.004
    for o in objects:
        clean &= o.clean | out_of_picture(o, w / h) | hidden(o, objects)
    hung = [s for s in strings if s is not None]
    pivot = float(np.median(hung)) / h if len(hung) >= max(3, 0.5 * sum(bool(b) for b in blobs)) else None
    return Tracks(tuple(objects), t, w / h, clean, pivot)


def _follow(blobs: list[list[Blob]], h: int, w: int) -> list[Track]:
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
        present = sum(bool(f) and f[0].area > 0.4 * typical for f in of_color)
        if present < max(3, 0.12 * len(blobs)):
            continue
        twins = sum(len(f) == 2 and f[1].area > 0.5 * f[0].area for f in of_color)
        if twins > 0.5 * present:
            chains += _link_twins(of_color)
        else:
            chains.append([f[0] if f and f[0].area > 0.15 * typical else None for f in of_color])
    tracks = [_measure(chain, blobs, h, w) for chain in chains]
    return _join_recolored(tracks)


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


def _measure(chain: list[Blob | None], blobs: list[list[Blob]], h: int, w: int) -> Track:
    seen = [b for b in chain if b is not None]
    whole = [b for b in seen if not any(b.cut) and not b.covered] or seen
    width, height = (float(np.median([b.extent[k] for b in whole])) for k in (0, 1))
    area = float(np.median([b.area for b in whole]))
    fill = float(np.median([b.area / (b.extent[0] * b.extent[1]) for b in whole]))
    shape: world.Shape = "cube" if fill > 0.88 else "balloon" if height / width > 1.17 else "ball"
    center = np.full((len(chain), 2), np.nan)
    clean = np.zeros(len(chain), dtype=bool)
    for i, b in enumerate(chain):
        if b is None:
            continue
        center[i] = _uncut_center(b, width, height, h, w) / h
        partial = any(b.cut) or b.covered
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


def _uncut_center(b: Blob, width: float, height: float, h: int, w: int) -> Array:
    x, y = b.center
    left, right, top, bottom = b.cut
    if left != right:
        x = b.extent[0] - width / 2 if left else w - b.extent[0] + width / 2
    if top != bottom:
        y = b.extent[1] - height / 2 if top else h - b.extent[1] + height / 2
    return np.array([x, y])


def _join_recolored(tracks: list[Track]) -> list[Track]:
    """Join a track that ends with one of another colour that begins there: one object changed its colour."""
    joined: list[Track] = []
    for late in sorted(tracks, key=lambda o: int(np.argmax(o.visible))):
        start = int(np.argmax(late.visible))
        for k, early in enumerate(joined):
            end = len(early.visible) - 1 - int(np.argmax(early.visible[::-1]))
            if end - start <= 1 and np.linalg.norm(early.center[end] - late.center[start]) < 0.15:
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


def hidden(o: Track, objects: Sequence[Track]) -> Mask:
    """Mask of the frames in which an object is unseen because another one is in front of it."""
    covered = np.zeros(len(o.visible), dtype=bool)
    seen, frames = np.flatnonzero(o.visible), np.arange(len(o.visible))
    center = np.stack([np.interp(frames, seen, o.center[seen, k]) for k in (0, 1)], axis=1)
    for other in objects:
        if other is not o:
            reach = np.array(o.half_size) + other.half_size
            near = np.abs(center - np.where(other.visible[:, None], other.center, np.inf)) < 0.9 * reach
            covered |= near.all(axis=1)
    return covered & ~o.visible


def _leaves(o: Track, frame: int, step: int, width: float) -> bool:
    """Check if the object, last (`step` -1) or first (+1) seen at `frame`, was about to cross the edge."""
    x, y = o.center[frame]
    earlier = frame + step
    if 0 <= earlier < len(o.visible) and o.visible[earlier]:
        x, y = o.center[frame] + 1.3 * (o.center[frame] - o.center[earlier])
    hx, hy = o.half_size
    return bool(x < 0.3 * hx or x > width - 0.3 * hx or y < 0.3 * hy or y > 1 - 0.3 * hy)
