"""Frames of a video side by side, as one picture."""

from typing import TYPE_CHECKING

from phyt2v_cli.files.video import Frames

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP = 2
_GAP_COLOUR = "#808080"


def film_strip(frames: Frames, *, height: int) -> "Image":
    """Picture of frames, uint8 (num_frames, height, width, 3), scaled to `height` pixels."""
    from PIL import Image

    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    picture = Image.new("RGB", (len(frames) * (width + _GAP) - _GAP, height), _GAP_COLOUR)
    for number, frame in enumerate(frames):
        resized = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
        picture.paste(resized, (number * (width + _GAP), 0))
    return picture
