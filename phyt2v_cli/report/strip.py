"""Strip of frames: evenly sampled frames of a video side by side, for pages. Knows no run."""

import base64
import io
from pathlib import Path

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.film_strip import film_strip
from phyt2v_cli.files.video import sample_frames

_FRAMES, _HEIGHT = 8, 120


def strip(video: Path, num_frames: int = _FRAMES) -> str | None:
    """Strip of a video as a JPEG in a data URI; None if the video is missing or broken."""
    try:
        frames = sample_frames(video, num_frames)
    except VideoError:
        return None
    content = io.BytesIO()
    film_strip(frames, height=_HEIGHT).save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
