"""Amount of motion, on pictures whose motion is known."""

from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.files.motion import motion_of
from phyt2v_cli.files.video import Frames, VideoMetadata, read_frames, write_video


def ball(speed: float, *, num_frames: int = 17, height: int = 96, contrast: int = 120) -> Frames:
    """Return a bright disc on grey that moves `speed` of the height a frame to the right."""
    y, x = np.mgrid[0:height, 0 : 2 * height] / height
    frames = np.full((num_frames, height, 2 * height, 3), 100, np.uint8)
    for number, frame in enumerate(frames):
        frame[(x - 0.3 - number * speed) ** 2 + (y - 0.5) ** 2 < 0.15**2] = 100 + contrast
    return frames


def test_a_still_picture_has_none() -> None:
    assert motion_of(ball(0)) == 0
    assert motion_of(ball(0.05)[:1]) == 0


def test_grain_and_flicker_of_an_encoder_are_none() -> None:
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (17, 480, 720, 3))
    assert motion_of((128 + grain).clip(0, 255).astype(np.uint8)) < 1e-4


def test_faster_is_more() -> None:
    slow, middle, fast = (motion_of(ball(speed)) for speed in (0.01, 0.02, 0.04))
    assert 1.6 < middle / slow < 2.4
    assert 1.6 < fast / middle < 2.4


def test_it_is_the_mean_change_of_brightness() -> None:
    frames = np.zeros((3, 48, 48, 3), np.uint8)
    frames[1] = 255
    assert motion_of(frames) == pytest.approx(1)
    frames[1, :, 24:] = 0
    assert motion_of(frames) == pytest.approx(0.5)


def test_the_size_of_the_picture_hardly_counts() -> None:
    assert motion_of(ball(0.03, height=96)) == pytest.approx(motion_of(ball(0.03, height=480)), rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (47, 49), (97, 61)], ids=str)
def test_any_size_is_measured(size: tuple[int, int]) -> None:
    frames = np.zeros((4, *size, 3), np.uint8)
    frames[1::2] = 200
    assert motion_of(frames) == pytest.approx(200 / 255, rel=1e-3)


def test_the_written_video_has_the_motion_of_its_frames(tmp_path: Path) -> None:
    frames, path = ball(0.03), tmp_path / "ball.mp4"
    write_video(path, frames, fps=12, metadata=VideoMetadata("a ball", 0, 5))
    assert motion_of(read_frames(path)) == pytest.approx(motion_of(frames), rel=0.05)
    write_video(path, ball(0), fps=12, metadata=VideoMetadata("a ball", 0, 5))
    assert motion_of(read_frames(path)) == 0
