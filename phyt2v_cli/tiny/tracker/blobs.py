"""Blobs: connected regions of palette colours in each frame of the embedded world.

They are found against the known background; soft edges count by how far their colour has changed from it.
This file knows single frames, and neither time nor any law of motion.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from phyt2v_cli.files.video import Frames
from phyt2v_cli.tiny import world

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WORK_HEIGHT = 64
"""Height in pixels that taller frames are averaged down to, about: the world is drawn at it."""

FOREGROUND = 30.0
"""RGB distance from the background at which a pixel belongs to something; a shadow stays below it."""

_CORE = 60.0
"""RGB distance within which a pixel has a palette colour, in one of its shades."""

_MIN_AREA = 0.0022
"""Smallest area of a blob, in squared picture heights: a tenth of the smallest object."""

_EDGE = 3
"""Pixels around a blob's core in which its soft edge may lie."""

_SHADES = np.array([0.84, 0.92, 1.0, 1.08, 1.16])
_CROSS = ndimage.generate_binary_structure(2, 1)
BOX = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Blob:
    """Blob: connected region of one palette colour in one frame; lengths in pixels."""

    color: int
    area: float
    center: Array
    extent: tuple[float, float]
    cut: tuple[bool, bool, bool, bool]
    """Whether it touches the picture's left, right, top, bottom edge."""
    covered: bool
    """Whether it touches a blob of another colour, so that one may hide part of the other."""


def shrink(frames: Frames) -> npt.NDArray[np.float32]:
    """Average taller frames down to about `_WORK_HEIGHT`; float32 (num_frames, h, w, 3)."""
    factor = max(1, round(frames.shape[1] / _WORK_HEIGHT))
    t, h, w = (n // f for n, f in zip(frames.shape[:3], (1, factor, factor), strict=True))
    if factor == 1:
        return frames.astype(np.float32)
    blocks = frames[:, : h * factor, : w * factor].reshape(t, h, factor, w, factor, 3)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def background(h: int) -> npt.NDArray[np.float32]:
    """Background colour of the empty world in each row, float32 (h, 3)."""
    y = ((np.arange(h) + 0.5) / h)[:, None]
    floor = np.clip((y - world.FLOOR_Y) * h + 0.5, 0, 1)
    sky = np.array(world.SKY_RGB) * (1.05 - 0.1 * y)
    ground = np.array(world.FLOOR_RGB) * (0.96 + 0.25 * (y - world.FLOOR_Y))
    return np.asarray(sky * (1 - floor) + ground * floor, dtype=np.float32)


def palette_index(picture: npt.NDArray[np.float32], foreground: Mask) -> npt.NDArray[np.int8]:
    """Index of the palette colour of each pixel, -1 if it has none."""
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


def why_foreign(foreground: Mask, core: npt.NDArray[np.int8]) -> str | None:
    """Reason why the pictures are not of this world (too little sky, floor or known colours), or None."""
    floor_row = round(world.FLOOR_Y * foreground.shape[1])
    empty = ~foreground
    strange = (foreground & (core < 0)).mean(axis=(1, 2)) > 0.15
    no_sky = empty[:, :floor_row].mean(axis=(1, 2)) < 0.55
    no_floor = empty[:, floor_row + 1 :].mean(axis=(1, 2)) < 0.4
    if (strange | no_sky | no_floor).mean() <= 0.3:
        return None
    missing = "sky" if no_sky.mean() >= no_floor.mean() else "floor"
    return f"the picture does not show the {missing} of the embedded world"


def find_blobs(
    core: npt.NDArray[np.int8], foreground: Mask, difference: npt.NDArray[np.float32]
) -> tuple[list[Blob], Mask]:
    """Find the blobs of one frame, and the foreground that belongs to none of them."""
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
        near = ndimage.binary_dilation(region, BOX, iterations=_EDGE)
        rest &= ~near
        others = (taken > 0) & (taken != k + 1)
        # the soft edge counts by the distance of its colour from the background's
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
            Blob(
                color,
                float(area),
                center / area,
                (float(columns.sum()), float(rows.sum())),
                tuple(bool(e > 0.5) for e in (columns[0], columns[-1], rows[0], rows[-1])),  # type: ignore[arg-type]
                any(c != color for c in touching),
            )
        )
    return found, rest


def find_string(picture: npt.NDArray[np.float32], rest: Mask, blobs: list[Blob]) -> float | None:
    """Find the string, a thin dark line above the upper of one or two objects: x of its end in pixels."""
    if not blobs or len({b.color for b in blobs}) < len(blobs) or len(blobs) > 2:
        return None
    h = picture.shape[0]
    hung = min(blobs, key=lambda b: float(b.center[1]))
    top, bottom = round(0.08 * h), int(hung.center[1] - hung.extent[1] / 2 - _EDGE)
    if bottom - top < 3:
        return None
    dark = rest[top:bottom] & (picture[top:bottom].max(axis=2) < 170)
    filled = dark.any(axis=1)
    if filled.mean() < 0.6 or dark.sum() > 4 * filled.sum():
        return None
    y, x = np.nonzero(dark)
    slope, offset = np.polyfit(y + top, x + 0.5, 1)
    return float(offset + slope * 0.04 * h)
