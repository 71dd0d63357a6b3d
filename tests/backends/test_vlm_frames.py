"""The frames that a VLM is shown."""

from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.backends.vlm import sampled_images
from phyt2v_cli.config.judges import VlmConfig
from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.video import VideoMetadata, write_video


def write_ramp(path: Path, num_frames: int, height: int, width: int) -> Path:
    """Write a video whose frames get brighter one by one."""
    levels = np.linspace(20, 230, num_frames).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (num_frames, height, width, 3))
    write_video(path, np.ascontiguousarray(frames), fps=8, metadata=VideoMetadata("p", seed=0, steps=1))
    return path


@pytest.mark.parametrize(
    ("height", "width", "limit", "size"),
    [(48, 96, 512, (96, 48)), (48, 96, 32, (32, 16)), (96, 48, 48, (24, 48))],
)
def test_large_frames_are_scaled_down(
    height: int, width: int, limit: int, size: tuple[int, int], tmp_path: Path
) -> None:
    video_path = write_ramp(tmp_path / "a.mp4", 9, height, width)
    images = sampled_images(video_path, VlmConfig(num_frames=3, max_frame_size=limit))
    assert [image.size for image in images] == [size] * 3
    assert {image.mode for image in images} == {"RGB"}
    levels = [float(np.asarray(image).mean()) for image in images]
    assert levels == pytest.approx([20, 125, 230], abs=4)  # the first, the middle and the last


def test_a_missing_video_is_said(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="missing"):
        sampled_images(tmp_path / "a.mp4", VlmConfig())
