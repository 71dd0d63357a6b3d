"""Write, keep, verify, read and sample mp4 files. Knows no model and no run.

A video is H.264 in yuv420p, so its height and width must be even; other sizes are refused, never resized.
Equal frames and metadata give equal bytes: no date, no path, a fixed number of encoder threads. The metadata
are one JSON object in the container's `comment`, the key that every player and ffprobe show. Colours are
written with the tags, and read with the rules, that players go by. A sound is a second track, in AAC.
"""

import errno
import hashlib
import io
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av import VideoFrame

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.atomic import already_there, describe_os_error, replace_file
from phyt2v_cli.files.sound import Sound, cut, is_same, mux_sound, read_sound
from phyt2v_cli.files.video.metadata import VideoMetadata as VideoMetadata
from phyt2v_cli.files.video.metadata import parse_metadata, read_beside, write_beside
from phyt2v_cli.quantities import count

Frames: TypeAlias = "npt.NDArray[np.uint8]"
"""Frames of a decoded video: RGB, uint8 (num_frames, height, width, 3)."""

Source: TypeAlias = Path | bytes
"""A video's file, or its content."""

CRF = 12
"""Quality of x264, 0 (lossless) to 51: near-lossless, since judges look at single pixels of small videos."""

MAX_DECODED_BYTES = 8 * 2**30
"""Limit of a decoded video; 1,000 frames of 1080p fit. A few kilobytes of mp4 can decode to any size, and may
come from elsewhere."""

_ENCODER = {"crf": str(CRF), "preset": "veryfast", "threads": "4", "mbtree": "0", "flags": "+bitexact"}
"""Encoder options. They take a third of the default preset's time for about the same size at this CRF. Equal
bytes need a fixed number of threads. x264's macroblock tree reads uninitialised memory with AVX-512: in a
process that had decoded a video, up to a third of equal small clips had other bytes (x264 core 165)."""

_DECODER_THREADS = 4
"""Threads of the decoder, each with a frame of its own. On two cores they take half of the time; of 400
damaged files they refused the same 191 as one thread."""

_T = TypeVar("_T")
_BT709, _UNSPECIFIED, _BT601 = 1, 2, 6
"""Matrices of YUV, by their numbers in H.264 and mp4; FFmpeg's scaler takes them too."""
_LIMITED_RANGE = 1


def _matrix_of(width: int, height: int) -> int:
    """Matrix that players assume for a video of this size if it has no tag: BT.709 for HD, BT.601 below."""
    return _BT709 if width >= 1280 or height > 576 else _BT601


def write_video(
    path: Path,
    frames: Frames,
    *,
    fps: int,
    metadata: VideoMetadata | None,
    must_be_new: bool = False,
    sound: Sound | None = None,
) -> str:
    """Write an mp4, verify it by decoding it in full, move it into place, and return its sha256.

    `frames` is uint8 RGB (num_frames, height, width, 3); a clip has no `metadata`. What of `sound` goes on
    after the last frame is cut off. Until the video is verified `path` stays as it was. Raises VideoError for
    an odd or empty size, and if the file does not decode to the same number of frames of the same size with
    the same metadata, and to a sound of the same length; FilesError if the disk is full or not writable, or
    if a file that `must_be_new` is there by now.
    """
    from av import FFmpegError

    num_frames, height, width, _ = frames.shape
    if num_frames < 1 or height < 2 or width < 2 or height % 2 or width % 2:
        raise VideoError(
            f"{path.name}: {num_frames} frames of {width}x{height} pixels cannot be stored; "
            "H.264 needs at least one frame, and an even width and height"
        )
    if sound is not None:
        sound = cut(sound, Fraction(num_frames, fps))
    comment = "" if metadata is None else json.dumps(asdict(metadata), ensure_ascii=False)
    try:
        encoded = _encode(frames, fps, sound, comment=comment)
    except (FFmpegError, ValueError) as error:
        raise VideoError(f"{path} could not be encoded: {error}") from error
    with replace_file(path, must_be_new=must_be_new) as temporary:
        temporary.write_bytes(encoded)
        sizes, stored = _decode(temporary, lambda frame, width: (width, frame.height))
        if sizes != [(width, height)] * num_frames or stored != metadata:
            raise VideoError(
                f"{path} could not be verified: wrote {num_frames} frames of {width}x{height} pixels, "
                f"read back {len(sizes)} of {sizes[0][0]}x{sizes[0][1]}"
            )
        if sound is not None and not is_same(read_sound(temporary), sound):
            raise VideoError(f"{path} could not be verified: its sound was not read back as written")
    return hashlib.sha256(encoded).hexdigest()


def keep_video(
    path: Path,
    content: bytes,
    *,
    metadata: VideoMetadata,
    how: Mapping[str, str],
    must_be_new: bool = False,
) -> str:
    """Write an mp4 that somebody else encoded, byte for byte, verify it, and return its sha256.

    The metadata, and the settings `how` it was made, come into a file beside it. Until the video is verified
    `path` stays as it was. Raises VideoError if the file does not come back as it was written, and FilesError
    as `write_video` does.
    """
    if must_be_new and os.path.lexists(path):  # whose metadata would be lost
        raise already_there(path)
    sha256 = hashlib.sha256(content).hexdigest()
    with replace_file(path, must_be_new=must_be_new) as temporary:
        temporary.write_bytes(content)
        if sha256_of(temporary) != sha256:
            raise VideoError(f"{path} could not be verified: other bytes were read back than were written")
        # Before the video is there: without its metadata nobody would know it after a kill.
        write_beside(path, metadata, sha256=sha256, how=how)
    return sha256


def read_video(path: Path) -> tuple[Frames, VideoMetadata | None]:
    """Decode a video in full, to uint8 RGB frames (num_frames, height, width, 3) and its metadata.

    The frames are those that players show: without what an edit list cuts off, rotated as the display matrix
    says, with square pixels. The metadata are None if there are none. Raises VideoError if the file is
    missing, cut short or no video, and FilesError if it cannot be read.
    """
    frames, metadata = _decode(path, _as_shown)
    return _stacked(frames, path), read_beside(path) or metadata


def read_frames(source: Source) -> Frames:
    """Decode the frames of a video in full; raises as `read_video` does."""
    return _stacked(_decode(source, _as_shown)[0], source)


def seconds_of(source: Source) -> float:
    """Length of a video in s, as its container says; raises VideoError if it does not say."""
    import av

    try:
        with _opened(source) as content, av.open(content, "r", format="mp4") as file:
            stream = file.streams.video[0]
            if stream.duration is not None and stream.time_base is not None:
                return float(stream.duration * stream.time_base)
    except (av.FFmpegError, ValueError, LookupError) as error:
        raise VideoError(f"{_name(source)} is {_what_is_broken(source)}") from error
    raise VideoError(f"{_name(source)} does not say how long it is")


def _stacked(frames: "list[Frames]", source: Source) -> Frames:
    import numpy as np

    try:
        return np.stack(frames)
    except (ValueError, MemoryError) as error:
        what = _name(source)
        raise VideoError(f"{what} is no video: its frames differ in size, or do not fit in memory") from error


def sample_frames(path: Path, num_frames: int) -> Frames:
    """Sample `num_frames` frames evenly from the first to the last; a short video repeats some.

    Returns uint8 RGB (num_frames, height, width, 3); raises as `read_video` does.
    """
    import numpy as np

    frames = read_frames(path)
    indices = np.linspace(0, len(frames) - 1, num_frames).round().astype(np.intp)
    return frames[indices]


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hex. Raises FilesError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be read") from error


def _encode(frames: Frames, fps: int, sound: Sound | None, *, comment: str) -> bytes:
    import av
    from av.video.reformatter import VideoReformatter

    num_frames, height, width, _ = frames.shape
    matrix = _matrix_of(width, height)
    scaler = VideoReformatter()
    encoded = io.BytesIO()  # in memory, so that a full disk fails our own write and not the encoder
    with av.open(encoded, "w", format="mp4", options={"fflags": "+bitexact"}) as file:
        file.metadata["comment"] = comment
        stream = file.add_stream("libx264", rate=fps, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.colorspace, codec.color_range = matrix, _LIMITED_RANGE
        # The primaries of sRGB, and the curve that players take for sRGB's.
        codec.color_primaries = codec.color_trc = _BT709
        if sound is not None:
            mux_sound(file, sound)
        for number in range(num_frames):
            rgb = av.VideoFrame.from_ndarray(frames[number], format="rgb24")
            frame = scaler.reformat(
                rgb, format="yuv420p", dst_colorspace=matrix, dst_color_range=_LIMITED_RANGE
            )
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return encoded.getvalue()


def _name(source: Source) -> str:
    return "the video" if isinstance(source, bytes) else str(source)


def _decode(
    source: Source, convert: "Callable[[VideoFrame, int], _T]"
) -> tuple[list[_T], VideoMetadata | None]:
    """Decode all frames that players show, and the metadata.

    Each frame is passed through `convert`, with the width that it has if its pixels are made square.
    """
    import av

    unreadable = (av.FFmpegError, ValueError, LookupError, AttributeError, MemoryError)
    frames: list[_T] = []
    num_bytes = num_packets = num_shown = 0
    try:
        # An opened file and its format are given: FFmpeg would take some names for addresses, and detect
        # playlists, which name other files to open.
        with _opened(source) as content, av.open(content, "r", format="mp4") as file:
            comment = file.metadata.get("comment", "")
            stream = file.streams.video[0]
            stream.thread_type, stream.thread_count = "FRAME", _DECODER_THREADS
            for packet in file.demux(stream):
                num_packets += packet.size > 0
                num_shown += packet.size > 0 and not packet.is_discard  # the edit list cuts that off
                for frame in packet.decode():
                    width = round(frame.width * (stream.sample_aspect_ratio or 1))
                    num_bytes += 3 * width * frame.height
                    if num_bytes > MAX_DECODED_BYTES:
                        limit = f"{MAX_DECODED_BYTES // 2**30} GiB"
                        raise VideoError(f"{_name(source)} decodes to more than {limit}")
                    frames.append(convert(frame, width))
            declared = stream.frames
        if declared not in (0, num_packets):  # an edit list hides even the packets behind its end
            with _opened(source) as content:
                num_packets = _count_packets(content)
    except unreadable as error:
        raise VideoError(f"{_name(source)} is {_what_is_broken(source)}") from error
    if not frames or len(frames) != num_shown or declared not in (0, num_packets):
        what = f"{len(frames)} of {count(declared, 'frame')} decode"
        raise VideoError(f"{_name(source)} is not a whole video: {what}")
    return frames, parse_metadata(comment)


class _Content:
    """Content of a file for a decoder. PyAV prints and drops what a file raises, so it is kept in `error`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def read(self, num_bytes: int) -> bytes:
        """Read bytes; none after an error, as at the end of the file."""
        try:
            return b"" if self.error else self._file.read(num_bytes)
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek; -1 after an error, as FFmpeg has it."""
        try:
            return -1 if self.error else self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place that no file has, of a broken index
                self.error = error
            return -1

    def tell(self) -> int:
        """Position in the file."""
        return self._file.tell()


@contextmanager
def _opened(source: Source) -> Iterator[_Content]:
    """Open a video for a decoder. Raises VideoError if it is no file, FilesError if it cannot be read."""
    if isinstance(source, bytes):
        yield _Content(io.BytesIO(source))
        return
    path = source
    content: _Content | None = None
    try:
        if not path.is_file():  # opening a pipe would block for ever
            raise VideoError(f"{path} is " + ("no file" if path.exists() else "missing"))
        with path.open("rb") as file:
            content = _Content(file)
            yield content
    except Exception as error:
        refusal = content.error if content is not None else error
        if isinstance(refusal, OSError):
            raise describe_os_error(refusal, f"{path} could not be read") from error
        raise


def _what_is_broken(source: Source) -> str:
    with _opened(source) as content:
        start = content.read(12)
    if start.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"GIF8", b"FLV", b"\x00\x00\x01\xba")):
        return "no mp4 and no QuickTime file, and no video in another format is read"
    return "cut short, or no video"


def _count_packets(content: _Content) -> int:
    import av

    with av.open(content, "r", format="mp4", options={"ignore_editlist": "1"}) as file:
        return sum(packet.size > 0 for packet in file.demux(file.streams.video[0]))


def _as_shown(frame: "VideoFrame", width: int) -> Frames:
    """RGB pixels of a frame as players show it, uint8 (height, width, 3)."""
    is_tagged = frame.colorspace != _UNSPECIFIED
    matrix = frame.colorspace if is_tagged else _matrix_of(frame.width, frame.height)
    pixels: Any = frame.to_ndarray(format="rgb24", width=width, src_colorspace=matrix)
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return cast("Frames", pixels)
    # (a, b, u, c, d, v, x, y, w): pixel (p, q) is shown at (a p + c q + x, b p + d q + y).
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(found))
    if abs(b) > abs(a):  # a quarter turn
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return cast("Frames", pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
