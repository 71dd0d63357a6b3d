"""Videos on disk: whole, verified, equal for equal runs, or refused."""

from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.errors import FilesError, VideoError
from phyt2v_cli.files.video import (
    Frames,
    VideoMetadata,
    read_frames,
    read_video,
    sample_frames,
    sha256_of,
    write_video,
)

METADATA = VideoMetadata("a ball drops", seed=7, steps=20, round=1)


def moving_square(num_frames: int = 9, height: int = 48, width: int = 64) -> Frames:
    frames = np.full((num_frames, height, width, 3), 210, np.uint8)
    for number, frame in enumerate(frames):
        frame[2 * number : 2 * number + 12, 20:32] = (200, 40, 40)
    return frames


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mp4", moving_square()
    digest = write_video(path, frames, fps=12, metadata=METADATA)
    decoded, metadata = read_video(path)
    assert digest == sha256_of(path)
    assert metadata == METADATA
    assert decoded.dtype == np.uint8
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    (tmp_path / "other folder").mkdir()
    paths = [tmp_path / "a.mp4", tmp_path / "other folder" / "b.mp4"]
    digests = {write_video(path, moving_square(), fps=12, metadata=METADATA) for path in paths}
    assert len(digests) == 1
    assert str(tmp_path).encode() not in paths[0].read_bytes()


@pytest.mark.parametrize("prompt", ["球が落ちる\n{}\"'", "NUL \0, ESC \x1b", "x" * 10_000, ""])
def test_any_prompt_survives_in_the_metadata(prompt: str, tmp_path: Path) -> None:
    metadata = VideoMetadata(prompt, seed=2**63 - 1, steps=50)
    write_video(tmp_path / "a.mp4", moving_square(2), fps=8, metadata=metadata)
    assert read_video(tmp_path / "a.mp4")[1] == metadata


@pytest.mark.parametrize("shape", [(3, 47, 64, 3), (3, 48, 63, 3), (0, 48, 64, 3)])
def test_sizes_that_h264_cannot_store_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="even width and height"):
        write_video(tmp_path / "a.mp4", np.zeros(shape, np.uint8), fps=8, metadata=METADATA)
    assert not list(tmp_path.iterdir())


def test_a_strange_video_has_no_metadata(tmp_path: Path) -> None:
    import imageio.v3 as iio

    iio.imwrite(tmp_path / "a.mp4", moving_square(), plugin="pyav", codec="libx264", fps=8)
    assert read_video(tmp_path / "a.mp4")[1] is None


def test_a_folder_that_is_missing_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="No such file"):
        write_video(tmp_path / "none" / "a.mp4", moving_square(), fps=8, metadata=METADATA)


def test_samples_run_from_the_first_to_the_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, moving_square(9), fps=8, metadata=METADATA)
    frames = read_frames(path)
    assert np.array_equal(sample_frames(path, 3), frames[[0, 4, 8]])
    assert len(sample_frames(path, 20)) == 20
    assert np.array_equal(sample_frames(path, 1), frames[:1])


def test_the_file_is_what_players_expect(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp4"
    write_video(path, moving_square(), fps=12, metadata=METADATA)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (64, 48, 9, 12)


def test_equal_frames_give_equal_bytes_whatever_was_decoded_before(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(128, 60, (5, 32, 32, 3))
    frames = pixels.clip(0, 255).astype(np.uint8)
    digests = {
        write_video(tmp_path / "a.mp4", frames, fps=8, metadata=VideoMetadata("a", 0, 3, 1))
        for _ in range(60)
    }
    assert len(digests) == 1
