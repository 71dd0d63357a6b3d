"""Layout of a clip: the size of its cells, the place of each video, and which frame is shown when.

Plain arithmetic; knows no file and draws nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Size = tuple[int, int]
"""Width and height in pixels."""

MAX_WIDTH = 1920
"""Limit of the width of a clip in pixels."""
MAX_BYTES = 2**29
"""Limit of the frames of a clip, decoded; larger ones are scaled down."""
MIN_CELL_WIDTH = 320
"""Width up to which videos are scaled up, so that labels can be read."""
MAX_FPS = 60
MAX_VIDEOS = 25
GAP = 8
"""Space between videos and around them, in pixels."""
_LINE_HEIGHT = 1.35
_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 3}


@dataclass(frozen=True)
class Layout:
    """Places in a clip, in pixels. All of its sizes are even."""

    columns: int
    rows: int
    cell: Size
    """Room of each video."""
    font_size: int
    num_lines: int
    """Lines of the label above each video."""

    @property
    def line_height(self) -> int:
        """Height of one line of a label."""
        return round(self.font_size * _LINE_HEIGHT)

    @property
    def band(self) -> int:
        """Height of the label of a video, with the space below it."""
        return self.line_height * self.num_lines + GAP // 2

    @property
    def size(self) -> Size:
        """Size of the whole clip."""
        width = GAP + self.columns * (self.cell[0] + GAP)
        height = GAP + self.rows * (self.band + self.cell[1] + GAP)
        return width + width % 2, height + height % 2

    def place(self, number: int) -> tuple[int, int]:
        """Left and top of the label of a video, numbered from 0."""
        row, column = divmod(number, self.columns)
        return GAP + column * (self.cell[0] + GAP), GAP + row * (self.band + self.cell[1] + GAP)


def grid_columns(num_videos: int) -> int:
    """Number of columns of a grid that is about as wide as high, in videos."""
    return _COLUMNS.get(num_videos, math.ceil(math.sqrt(num_videos)))


def lay_out(sizes: Sequence[Size], columns: int, *, num_lines: int, num_frames: int) -> Layout:
    """Lay out videos of these sizes, in rows of `columns`; each gets the room of the largest."""
    rows = math.ceil(len(sizes) / columns)
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    scale: float = max(1, math.ceil(MIN_CELL_WIDTH / width))
    if columns * (width * scale + GAP) + GAP > MAX_WIDTH:
        scale = ((MAX_WIDTH - GAP) / columns - GAP) / width
    num_pixels = columns * rows * width * height * scale**2
    scale *= min(1.0, math.sqrt(MAX_BYTES / (3 * num_frames * num_pixels)))
    cell = max(16, int(width * scale)), max(16, int(height * scale))
    font_size = min(28, max(12, cell[0] // 18))
    return Layout(columns, rows, cell, font_size, num_lines)


def fit(size: Size, room: Size) -> Size:
    """Size of a video in its room: as large as it has room for; enlarged by a whole number if possible."""
    scale = min(room[0] / size[0], room[1] / size[1])
    if scale > 1:
        scale = int(scale + 1e-6)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def frame_times(rates: Sequence[float], lengths: Sequence[int]) -> tuple[int, list[list[int]]]:
    """Frames per second of a clip, and for each video which of its frames is shown in each of the clip's.

    `rates` are the frames per second of the videos, and `lengths` their frames. All have the same clock, and
    one that has ended stays at its last frame.
    """
    fps = min(MAX_FPS, max(1, round(max(rates))))
    num_frames = max(max(1, round(length / rate * fps)) for rate, length in zip(rates, lengths, strict=True))
    return fps, [
        [min(length - 1, int(number / fps * rate + 1e-6)) for number in range(num_frames)]
        for rate, length in zip(rates, lengths, strict=True)
    ]
