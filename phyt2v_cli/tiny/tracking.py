"""Pixels to tracks: find the objects of the embedded world in each frame and follow them.

An object is a solid blob of a palette colour in front of the known background. This file knows no law of
motion and no wording; it measures what is there and how cleanly it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from phyt2v_cli.interfaces import Frames
from phyt2v_cli.tiny import world

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WORK_HEIGHT = 64
"""Taller frames are averaged down to about this height: it is what the world is drawn at."""

_FOREGROUND = 30.0
"""RGB distance from the background at which a pixel belongs to something; a shadow stays below it."""

_CORE = 60.0
"""RGB distance within which a pixel has a palette colour, in one of its shades."""

_MIN_AREA = 0.0022
"""Smallest area of a blob, in squared picture heights: a tenth of the smallest object."""

_EDGE = 3
"""Pixels around a blob's core in which its soft edge may lie."""

_SHADES = np.array([0.84, 0.92, 1.0, 1.08, 1.16])
_CROSS = ndimage.generate_binary_structure(2, 1)
_BOX = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Track:
    """One object through time. Lengths in picture heights; NaN where it is not seen."""

    color: world.Color
    shape: world.Shape
    center: Array
    """(T, 2) as x, y; where the picture's edge cuts the object, where its centre must be."""
    half_size: tuple[float, float]
    """Half its width and height."""
    visible: Mask
    clean: Mask
    """Per frame: seen, as one blob of its usual size."""
    new_color: tuple[int, world.Color] | None = None
    """The frame at which it takes another colour, and which."""


@dataclass(frozen=True)
class Tracks:
    """What is in a video of `num_frames` frames, `width` picture heights wide."""

    objects: tuple[Track, ...]
    num_frames: int
    width: float
    clean: Mask
    """Per frame: every object of the video is one clean blob and nothing else is there."""
    pivot: float | None = None
    """x of the point that a string hangs from; None when no string is seen."""
    foreign: str | None = None
    """Why these frames are not of this world; None when they are."""


@dataclass(frozen=True)
class _Blob:
    """A connected region of one palette colour in one frame; lengths in pixels."""

    color: int
    area: float
    center: Array
    extent: tuple[float, float]
    cut: tuple[bool, bool, bool, bool]
    """Touches the picture's left, right, top, bottom edge."""
    covered: bool
    """Touches a blob of another colour, so one may hide part of the other."""


def track(frames: Frames) -> Tracks:
    """Return the tracks of uint8 `frames` (T, H, W, 3); `foreign` says when they show another world."""
    picture = _shrink(frames)
    t, h, w = picture.shape[:3]
    difference = np.linalg.norm(picture - _background(h)[None, :, None], axis=3)
    foreground = difference > _FOREGROUND
    core = _palette_index(picture, foreground)
    foreign = _foreign(foreground, core)
    if foreign:
        return Tracks((), t, w / h, np.zeros(t, dtype=bool), foreign=foreign)
    blobs, smeared, strings = [], np.zeros(t), []
    for i in range(t):
        found, rest = _blobs(core[i], foreground[i], difference[i])
        blobs.append(found)
        smeared[i] = ndimage.binary_opening(rest, _BOX).sum() / h**2
        strings.append(_string(picture[i], rest, found))
    objects = _follow(blobs, h, w)
    clean = smeared < 0.004
    for o in objects:
        clean &= o.clean | out_of_picture(o, w / h) | hidden(o, objects)
    hung = [s for s in strings if s is not None]
    pivot = float(np.median(hung)) / h if len(hung) >= max(3, 0.5 * sum(bool(b) for b in blobs)) else None
    return Tracks(tuple(objects), t, w / h, clean, pivot)


def _shrink(frames: Frames) -> npt.NDArray[np.float32]:
    factor = max(1, round(frames.shape[1] / _WORK_HEIGHT))
    t, h, w = (n // f for n, f in zip(frames.shape[:3], (1, factor, factor), strict=True))
    if factor == 1:
        return frames.astype(np.float32)
    blocks = frames[:, : h * factor, : w * factor].reshape(t, h, factor, w, factor, 3)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def _background(h: int) -> npt.NDArray[np.float32]:
    """Return the colour of the empty world in each row, (h, 3)."""
    y = ((np.arange(h) + 0.5) / h)[:, None]
    floor = np.clip((y - world.FLOOR_Y) * h + 0.5, 0, 1)
    sky = np.array(world.SKY_RGB) * (1.05 - 0.1 * y)
    ground = np.array(world.FLOOR_RGB) * (0.96 + 0.25 * (y - world.FLOOR_Y))
    return np.asarray(sky * (1 - floor) + ground * floor, dtype=np.float32)


def _palette_index(picture: npt.NDArray[np.float32], foreground: Mask) -> npt.NDArray[np.int8]:
    """Return for each pixel the index of its palette colour, -1 where it has none."""
    palette = np.array([world.RGB[c] for c in world.COLORS])
    shades = palette[:, None] * _SHADES[:, None] + 12 * (_SHADES[:, None] - 0.92)
    shades = np.clip(shades, 0, 255).reshape(-1, 3).astype(np.float32)
    pixels = picture[foreground]
    squared = (pixels**2).sum(axis=1)[:, None] - 2 * pixels @ shades.T + (shades**2).sum(axis=1)
    nearest = squared.argmin(axis=1)
    index = np.full(foreground.shape, -1, dtype=np.int8)
    near = np.take_along_axis(squared, nearest[:, None], axis=1)[:, 0] < _CORE**2
    index[foreground] = np.where(near, nearest // len(_SHADES), -1)
    return index


def _foreign(foreground: Mask, core: npt.NDArray[np.int8]) -> str | None:
    """Say why the pictures are not of this world: too little sky, floor, or known colours."""
    floor_row = round(world.FLOOR_Y * foreground.shape[1])
    empty = ~foreground
    strange = (foreground & (core < 0)).mean(axis=(1, 2)) > 0.15
    no_sky = empty[:, :floor_row].mean(axis=(1, 2)) < 0.55
    no_floor = empty[:, floor_row + 1 :].mean(axis=(1, 2)) < 0.4
    if (strange | no_sky | no_floor).mean() <= 0.3:
        return None
    missing = "sky" if no_sky.mean() >= no_floor.mean() else "floor"
    return f"the picture does not show the {missing} of the embedded world"


def _blobs(core: npt.NDArray[np.int8], foreground: Mask, difference: npt.NDArray[np.float32]) -> Any:
    """Return the blobs of one frame, and the foreground that belongs to none of them."""
    h, w = core.shape
    regions: list[tuple[int, Mask]] = []
    for color in np.unique(core[core >= 0]):
        labels, count = ndimage.label(ndimage.binary_opening(core == color, _CROSS))
        for k in range(1, count + 1):
            region = labels == k
            if region.sum() >= _MIN_AREA * h * h:
                regions.append((int(color), region))
    taken = np.zeros((h, w), dtype=np.int8)
    for k, (_, region) in enumerate(regions):
        taken[region] = k + 1
    found, rest = [], foreground.copy()
    for k, (color, region) in enumerate(regions):
        near = ndimage.binary_dilation(region, _BOX, iterations=_EDGE)
        rest &= ~near
        others = (taken > 0) & (taken != k + 1)
        # the soft edge counts by how far its colour has come from the background's
        contrast = np.median(difference[region])
        edge = ndimage.binary_dilation(region, _CROSS, iterations=2) & ~others
        cover = np.where(region, 1.0, np.where(edge, np.minimum(difference / contrast, 1), 0))
        cover[cover < 0.15] = 0
        columns, rows = cover.max(axis=0), cover.max(axis=1)
        area = cover.sum()
        center = np.array(
            [cover.sum(axis=0) @ (np.arange(w) + 0.5), cover.sum(axis=1) @ (np.arange(h) + 0.5)]
        )
        touching = [regions[j - 1][0] for j in np.unique(taken[near & others])]
        found.append(
            _Blob(
                color,
                float(area),
                center / area,
                (float(columns.sum()), float(rows.sum())),
                tuple(bool(e > 0.5) for e in (columns[0], columns[-1], rows[0], rows[-1])),  # type: ignore[arg-type]
                any(c != color for c in touching),
            )
        )
    return found, rest


def _string(picture: npt.NDArray[np.float32], rest: Mask, blobs: list[_Blob]) -> float | None:
    """Return the x (pixels) at which a thin dark line above the only object ends, if there is one."""
    if len(blobs) != 1:
        return None
    h = picture.shape[0]
    top, bottom = round(0.08 * h), int(blobs[0].center[1] - blobs[0].extent[1] / 2 - _EDGE)
    if bottom - top < 3:
        return None
    dark = rest[top:bottom] & (picture[top:bottom].max(axis=2) < 170)
    filled = dark.any(axis=1)
    if filled.mean() < 0.6 or dark.sum() > 4 * filled.sum():
        return None
    y, x = np.nonzero(dark)
    slope, offset = np.polyfit(y + top, x + 0.5, 1)
    return float(offset + slope * 0.04 * h)


def _follow(blobs: list[list[_Blob]], h: int, w: int) -> list[Track]:
    """Choose the objects that last, and link their blobs through time."""
    everything = [b for found in blobs for b in found]
    if not everything:
        return []
    typical = max(
        float(np.median([b.area for b in everything if b.color == c])) for c in {b.color for b in everything}
    )
    chains: list[list[_Blob | None]] = []
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


def _link_twins(of_color: list[list[_Blob]]) -> list[list[_Blob | None]]:
    """Link two objects of one colour by the shorter way."""
    chains: list[list[_Blob | None]] = [[], []]
    last: list[Array | None] = [None, None]
    for found in of_color:
        pair: list[_Blob | None] = [*sorted(found, key=lambda b: float(b.center[0])), None, None][:2]

        def way(order: list[_Blob | None], last: list[Array | None] = last) -> float:
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


def _measure(chain: list[_Blob | None], blobs: list[list[_Blob]], h: int, w: int) -> Track:
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


def _uncut_center(b: _Blob, width: float, height: float, h: int, w: int) -> Array:
    x, y = b.center
    left, right, top, bottom = b.cut
    if left != right:
        x = b.extent[0] - width / 2 if left else w - b.extent[0] + width / 2
    if top != bottom:
        y = b.extent[1] - height / 2 if top else h - b.extent[1] + height / 2
    return np.array([x, y])


def _join_recolored(tracks: list[Track]) -> list[Track]:
    """Join a track that ends where one of another colour begins: one object that changed its colour."""
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
    """Return the frames in which an object is unseen because it left the picture over its edge."""
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
    """Return the frames in which an object is unseen because another one is in front of it."""
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
    """Whether the object, last (`step` -1) or first (+1) seen at `frame`, was about to cross the edge."""
    x, y = o.center[frame]
    earlier = frame + step
    if 0 <= earlier < len(o.visible) and o.visible[earlier]:
        x, y = o.center[frame] + 1.3 * (o.center[frame] - o.center[earlier])
    hx, hy = o.half_size
    return bool(x < 0.3 * hx or x > width - 0.3 * hx or y < 0.3 * hy or y > 1 - 0.3 * hy)
