"""Drawing of a clip: videos side by side, each under its label, as one mp4. Knows no run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.files.video import read_frames, seconds_of, write_video
from phyt2v_cli.report import fonts
from phyt2v_cli.report.clips.layout import MAX_VIDEOS, Layout, Size, fit, frame_times, grid_columns, lay_out

if TYPE_CHECKING:
    from PIL.Image import Image

    from phyt2v_cli.files.video import Frames

_PAPER, _INK, _SOFT, _MARKED, _EMPTY = "#fbfaf7", "#1d1d1f", "#6b6b70", "#0b6e4f", "#e3e1da"


@dataclass(frozen=True)
class Labelled:
    """Video of a clip with its label."""

    video: Path
    label: str
    detail: str = ""
    """Second line of the label."""
    is_marked: bool = False
    """Whether the label has the colour of a result."""


def write_clip(path: Path, videos: Sequence[Labelled], *, columns: int | None = None) -> None:
    """Write a clip of 1 to `MAX_VIDEOS` videos as H.264, in a grid or in rows of `columns`.

    They are in step, and one that is shorter than another stays at its last frame. Raises VideoError if a
    video is missing or broken, FilesError if the disk refuses; `path` then stays as it was.
    """
    import numpy as np

    videos = videos[:MAX_VIDEOS]
    lengths, rates, sizes = [], [], []
    for one in videos:  # decoded twice, so that no more than one of them is in memory
        length, height, width, _ = read_frames(one.video).shape
        lengths.append(length)
        rates.append(length / max(seconds_of(one.video), 1e-3))
        sizes.append((width, height))
    fps, shown = frame_times(rates, lengths)
    layout = lay_out(
        sizes,
        columns or grid_columns(len(videos)),
        num_lines=2 if any(one.detail for one in videos) else 1,
        num_frames=len(shown[0]),
    )
    background = np.asarray(_draw_background(videos, layout))
    clip = np.repeat(background[None], len(shown[0]), axis=0)
    for number, (one, size, order) in enumerate(zip(videos, sizes, shown, strict=True)):
        left, top = layout.place(number)
        width, height = fit(size, layout.cell)
        left += (layout.cell[0] - width) // 2
        top += layout.band + (layout.cell[1] - height) // 2
        scaled = [_scale(frame, (width, height)) for frame in read_frames(one.video)]
        for place, index in enumerate(order):
            clip[place, top : top + height, left : left + width] = scaled[index]
    write_video(path, clip, fps=fps, metadata=None)


def _scale(frame: "Frames", size: Size) -> "Frames":
    import numpy as np
    from PIL import Image

    height, width = frame.shape[:2]
    if size == (width, height):
        return frame
    is_enlarged = size[0] >= width
    method = Image.Resampling.NEAREST if is_enlarged else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(frame).resize(size, method))


def _draw_background(videos: Sequence[Labelled], layout: Layout) -> "Image":
    """Picture of the clip without its videos: labels, and the room of each video."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", layout.size, _PAPER)
    draw = ImageDraw.Draw(picture)
    for number, one in enumerate(videos):
        left, top = layout.place(number)
        for line, (text, colour) in enumerate(
            ((one.label, _MARKED if one.is_marked else _INK), (one.detail, _SOFT))
        ):
            shown, font = fonts.readable(text, layout.font_size)
            (cut,) = fonts.wrap(shown, font, layout.cell[0], max_lines=1)
            draw.text((left, top + line * layout.line_height), cut, fill=colour, font=font)
        room = (left, top + layout.band)
        draw.rectangle((*room, room[0] + layout.cell[0] - 1, room[1] + layout.cell[1] - 1), fill=_EMPTY)
    return picture
