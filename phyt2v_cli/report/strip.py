"""Strip of frames: evenly sampled frames of a video side by side, for pages. Knows no run."""

import base64
import io
from pathlib import Path

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.video import sample_frames

_FRAMES, _HEIGHT, _GAP = 8, 120, 2


def strip(video: Path, num_frames: int = _FRAMES) -> str | None:
    """Strip of a video as a JPEG in a data URI; None if the video is missing or broken."""
    from PIL import Image

    try:
        frames = sample_frames(video, num_frames)
    except VideoError:
        return None
    width = max(1, round(_HEIGHT * frames.shape[2] / frames.shape[1]))
    picture = Image.new("RGB", (num_frames * (width + _GAP) - _GAP, _HEIGHT), "#808080")
    for number, frame in enumerate(frames):
        resized = Image.fromarray(frame).resize((width, _HEIGHT), Image.Resampling.LANCZOS)
        picture.paste(resized, (number * (width + _GAP), 0))
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
