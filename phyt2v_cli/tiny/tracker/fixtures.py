"""Fixtures: the grey ramp, ledge or wall that stands in a video of the embedded world.

This file knows still pictures and geometry. It does not know what moves.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.blobs import BOX, Array, Mask, palette_index

_NEAR = 24.0
"""RGB distance from the fixtures' grey; the string is nearer, but thin, and a shadow is on the floor."""

_MIN_AREA = 0.012
"""Smallest area of a fixture, in squared picture heights."""

_FLAT = 0.05
"""Height differences of a flat top."""


@dataclass(frozen=True)
class Fixture:
    """Fixture that stands on the floor; lengths in picture heights."""

    kind: world.Fixture
    left: float
    right: float
    top: float
    """y of its highest point."""
    downhill: int = 0
    """Side to which a ramp goes down: 1 right, -1 left."""

    def rest_height(self, x: Array, half_height: float) -> Array:
        """Heights y of the centre of a thing that lies on the fixture at `x`, or else on the floor."""
        floor = np.full_like(x, world.FLOOR_Y - half_height)
        if self.kind == "wall":
            return floor
        if self.kind == "ledge":
            return np.asarray(np.where((x >= self.left) & (x <= self.right), self.top - half_height, floor))
        slope = (world.FLOOR_Y - self.top) / (self.right - self.left)
        before_foot = (self.right - x) if self.downhill > 0 else (x - self.left)
        return np.asarray(
            np.minimum(floor, world.FLOOR_Y - slope * before_foot - half_height * np.hypot(1, slope))
        )


def find_fixture(picture: npt.NDArray[np.float32]) -> tuple[Fixture, Mask] | None:
    """Find the fixture in `picture` (num_frames, h, w, 3), and the pixels (h, w) that it covers."""
    h, w = picture.shape[1:3]
    usual = np.median(picture, axis=0)
    near = np.linalg.norm(usual - np.array(world.FIXTURE_RGB), axis=2) < _NEAR
    near[round(world.FLOOR_Y * h) :] = False
    labels, count = ndimage.label(ndimage.binary_opening(near, BOX))
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    mask = labels == 1 + int(sizes.argmax())
    if mask.sum() < _MIN_AREA * h * h:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    tops = mask[:, columns].argmax(axis=0) / h
    left, right = columns[0] / h, (columns[-1] + 1) / h
    inner = tops[1:-1]
    if np.ptp(inner) < _FLAT:
        at_edge = columns[0] == 0 or columns[-1] == w - 1
        return Fixture("ledge" if at_edge else "wall", left, right, float(np.median(tops))), mask
    slope, offset = np.polyfit((columns + 0.5) / h, tops, 1)
    foot = float((world.FLOOR_Y - offset) / slope)  # the opening has taken the thin end away
    left, right = (left, foot) if slope > 0 else (foot, right)
    top = float(slope * (left if slope > 0 else right) + offset)
    return Fixture("ramp", left, right, top, 1 if slope > 0 else -1), mask


def put_into(scenery: npt.NDArray[np.float32], picture: npt.NDArray[np.float32], mask: Mask) -> None:
    """Draw the fixture at `mask`, with its soft edge, into the background `scenery` (h, w, 3)."""
    usual = np.median(picture, axis=0)
    around = ndimage.binary_dilation(mask, BOX, iterations=2)
    around &= palette_index(usual, around) < 0  # where something rests beside it, the usual colour is its own
    scenery[around] = usual[around]
