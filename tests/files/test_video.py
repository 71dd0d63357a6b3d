"""Videos on disk: whole, verified, equal for equal runs, or refused."""

from fractions import Fraction
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


def strange_video(
    path: Path, frames: Frames, matrix: list[int] | None = None, aspect: Fraction | None = None
) -> Path:
    """Write a video as other programs do, with any matrix of display and form of pixels; return its path."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_strange_video_has_no_metadata(tmp_path: Path) -> None:
    assert read_video(strange_video(tmp_path / "a.mp4", moving_square()))[1] is None


ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "as_shown"),
    [
        ((ONE, 0, 0, ONE), lambda frame: frame),
        ((0, ONE, -ONE, 0), lambda frame: np.rot90(frame, -1)),  # as phones store what is taken upright
        ((-ONE, 0, 0, -ONE), lambda frame: np.rot90(frame, 2)),
        ((0, -ONE, ONE, 0), lambda frame: np.rot90(frame)),
        ((-ONE, 0, 0, ONE), lambda frame: frame[:, ::-1]),
        ((ONE, 0, 0, -ONE), lambda frame: frame[::-1]),
    ],
    ids=["as it is", "clockwise", "upside down", "counterclockwise", "mirrored", "flipped"],
)
def test_a_video_is_turned_as_players_turn_it(matrix, as_shown, tmp_path: Path) -> None:
    a, b, c, d = matrix
    frames = moving_square(3)
    path = strange_video(tmp_path / "a.mp4", frames, [a, b, 0, c, d, 0, 0, 0, 1 << 30])
    shown = np.stack([as_shown(frame) for frame in frames])
    decoded = read_frames(path)
    assert decoded.shape == shown.shape
    assert np.abs(decoded.astype(int) - shown).mean() < 4


def cut_by_edit_list(path: Path, *, start: int, stop: int) -> None:
    """Let the edit list of a video of 12 frames a second show some frames only, as trimming programs do."""
    import struct

    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12
    _, offset = struct.unpack_from(">Ii", content, place)
    mvhd = content.index(b"mvhd") + 4
    mdhd = content.index(b"mdhd") + 4
    movie_scale, media_scale = (struct.unpack_from(">I", content, at + 12)[0] for at in (mvhd, mdhd))
    duration = (stop - start) * movie_scale // 12
    struct.pack_into(">Ii", content, place, duration, offset + start * media_scale // 12)
    path.write_bytes(content)


@pytest.mark.parametrize(("start", "stop"), [(4, 24), (0, 15), (3, 20)], ids=["start", "end", "both"])
def test_a_trimmed_video_has_the_frames_that_players_show(start: int, stop: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, moving_square(24, height=64), fps=12, metadata=METADATA)
    whole = read_frames(path)
    cut_by_edit_list(path, start=start, stop=stop)
    assert np.array_equal(read_frames(path), whole[start:stop])
    content = path.read_bytes()
    lost = content.index(b"mdat") + 2000
    path.write_bytes(content[:lost] + bytes(400) + content[lost + 400 :])
    with pytest.raises(VideoError):
        read_frames(path)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = strange_video(tmp_path / "a.mp4", moving_square(2), aspect=Fraction(4, 3))
    assert read_frames(path).shape == (2, 48, 85, 3)


@pytest.mark.parametrize("size", [(720, 1280), (832, 480), (480, 832), (32, 64)])
def test_every_player_shows_the_same_colour(size: tuple[int, int], tmp_path: Path) -> None:
    """Players go by the tags, and those that do not read them by the size."""
    import av

    frames = np.full((2, *size, 3), (200, 40, 60), np.uint8)
    write_video(tmp_path / "a.mp4", frames, fps=8, metadata=METADATA)
    is_hd = size[0] > 576
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
    assert tags == ((1 if is_hd else 6), 1, 1, 1)
    assert b"colr" in (tmp_path / "a.mp4").read_bytes()
    y, u, v = (float(np.frombuffer(plane, np.uint8)[0]) for plane in frame.planes)
    kr, kb = (0.2126, 0.0722) if is_hd else (0.299, 0.114)
    luma = (y - 16) / 219
    red, blue = luma + (v - 128) / 112 * (1 - kr), luma + (u - 128) / 112 * (1 - kb)
    shown = red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue
    assert np.abs(np.multiply(shown, 255) - (200, 40, 60)).max() < 4
    assert np.abs(read_frames(tmp_path / "a.mp4")[0, 8, 8].astype(int) - (200, 40, 60)).max() < 4


def test_a_video_without_tags_is_read_as_players_guess(tmp_path: Path) -> None:
    import av
    from av.video.reformatter import VideoReformatter

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
        rgb = av.VideoFrame.from_ndarray(np.full((720, 1280, 3), (200, 40, 60), np.uint8), format="rgb24")
        frame = VideoReformatter().reformat(rgb, format="yuv420p", dst_colorspace=1)
        frame.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == 2, "not tagged"
    assert np.abs(read_frames(tmp_path / "a.mp4")[0, 8, 8].astype(int) - (200, 40, 60)).max() < 4


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


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")])
def test_a_video_in_another_format_is_not_said_to_be_cut_short(
    ending: str, codec: str, tmp_path: Path
) -> None:
    import av

    path = tmp_path / f"a.{ending}"
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        file.mux(stream.encode(None))
    with pytest.raises(VideoError, match="is no mp4 and no QuickTime file"):
        read_video(path)
