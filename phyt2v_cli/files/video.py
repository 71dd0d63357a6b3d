"""Write, verify, read and sample mp4 files. Knows no model and no run.

A video is H.264 in yuv420p, so its height and width must be even; other sizes are refused, never resized.
Equal frames and metadata give equal bytes: no date, no path, a fixed number of encoder threads. The metadata
are one JSON object in the container's `comment`, the key that every player and ffprobe show.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.atomic import replace_file

Frames: TypeAlias = "npt.NDArray[np.uint8]"
"""Frames of a decoded video: RGB, uint8 (num_frames, height, width, 3)."""

CRF = 12
"""Quality of x264, 0 (lossless) to 51: near-lossless, since judges look at single pixels of small videos."""

MAX_DECODED_BYTES = 8 * 2**30
"""Limit of a decoded video; 1,000 frames of 1080p fit. A few kilobytes of mp4 can decode to any size, and may
come from elsewhere."""

_ENCODER = {"crf": str(CRF), "preset": "veryfast", "threads": "4", "mbtree": "0", "flags": "+bitexact"}
"""Encoder options. They take a third of the default preset's time for about the same size at this CRF. Equal
bytes need a fixed number of threads. x264's macroblock tree reads uninitialised memory if the CPU has
AVX-512: in a process that had decoded a video, up to a third of equal small clips came out with other bytes
(x264 core 165, av 18.1)."""

_DECODER: dict[str, Any] = {"thread_count": 4, "thread_type": "FRAME"}
"""Decoder options. On two cores they take half of the time; of 400 damaged files they refused the same 191 as
one thread."""


@dataclass(frozen=True)
class VideoMetadata:
    """Metadata of a video: how it was made, stored inside it."""

    prompt: str
    seed: int
    steps: int
    round: int | None = None
    """Number of the round; None for a single video or the control."""
    pixels_key: str = ""
    """Digest of what made the pixels; empty in videos of phyt2v 0.1.0."""


def write_video(path: Path, frames: Frames, *, fps: int, metadata: VideoMetadata) -> str:
    """Write an mp4, verify it by decoding it in full, move it into place, and return its sha256.

    `frames` is uint8 RGB (num_frames, height, width, 3). Until the video is verified `path` stays as it was.
    Raises VideoError for an odd or empty size, and if the file does not decode to the same number of frames
    of the same size with the same metadata; FilesError if the disk is full or not writable.
    """
    from av import FFmpegError

    num_frames, height, width, _ = frames.shape
    if num_frames < 1 or height < 2 or width < 2 or height % 2 or width % 2:
        raise VideoError(
            f"{path.name}: {num_frames} frames of {width}x{height} pixels cannot be stored; "
            "H.264 needs at least one frame, and an even width and height"
        )
    try:
        # Encoded in memory, so that a full disk fails our own write and not the encoder.
        with _open("<bytes>", "w", container="mp4", options={"fflags": "+bitexact"}) as file:
            file.container_metadata["comment"] = json.dumps(asdict(metadata), ensure_ascii=False)
            file.init_video_stream("libx264", fps=fps, pixel_format="yuv420p")
            # imageio has no argument for the encoder's options.
            file._video_stream.options = _ENCODER
            encoded: bytes = file.write(frames)
    except (FFmpegError, ValueError) as error:
        raise VideoError(f"{path} could not be encoded: {error}") from error
    with replace_file(path) as temporary:
        temporary.write_bytes(encoded)
        decoded, stored = _decode(temporary, pixel_format="gray")  # two thirds of the time of RGB
        if (len(decoded), *decoded[0].shape) != frames.shape[:3] or stored != metadata:
            raise VideoError(
                f"{path} could not be verified: wrote {num_frames} frames of {width}x{height} pixels, "
                f"read back {len(decoded)} of {decoded[0].shape[1]}x{decoded[0].shape[0]}"
            )
    return hashlib.sha256(encoded).hexdigest()


def read_video(path: Path) -> tuple[Frames, VideoMetadata | None]:
    """Decode a video in full, to uint8 RGB frames (num_frames, height, width, 3) and its metadata.

    The metadata are None if there are none. Raises VideoError if the file is missing, cut short or no video.
    """
    import numpy as np

    frames, metadata = _decode(path, pixel_format="rgb24")
    try:
        return np.stack(frames), metadata
    except (ValueError, MemoryError) as error:
        raise VideoError(f"{path} is no video: its frames differ in size, or do not fit in memory") from error


def read_frames(path: Path) -> Frames:
    """Decode the frames of a video in full; raises as `read_video` does."""
    return read_video(path)[0]


def sample_frames(path: Path, num_frames: int) -> Frames:
    """Sample `num_frames` frames evenly from the first to the last; a short video repeats some.

    Returns uint8 RGB (num_frames, height, width, 3); raises as `read_video` does.
    """
    import numpy as np

    frames = read_frames(path)
    indices = np.linspace(0, len(frames) - 1, num_frames).round().astype(np.intp)
    return frames[indices]


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode(path: Path, *, pixel_format: str) -> tuple[list[Any], VideoMetadata | None]:
    from av import FFmpegError

    unreadable = (FFmpegError, OSError, ValueError, LookupError, AttributeError, StopIteration, MemoryError)
    if not path.is_file():  # opening a pipe would block for ever
        raise VideoError(f"{path} is " + ("no file" if path.exists() else "missing"))
    frames, num_bytes = [], 0
    try:
        # The format is given, because FFmpeg would also detect playlists, which name other files to open.
        with _open(path, "r", format="mp4") as file:
            comment = file.container_metadata.get("comment", "")
            declared = file.properties().shape[0]  # what the container says
            for frame in file.iter(format=pixel_format, **_DECODER):
                frames.append(frame)
                num_bytes += frame.nbytes
                if num_bytes > MAX_DECODED_BYTES:
                    raise VideoError(f"{path} decodes to more than {MAX_DECODED_BYTES // 2**30} GiB")
    except unreadable as error:  # for example, imageio expects every stream to have a codec
        raise VideoError(f"{path} is cut short, or no video") from error
    if not frames or (declared and declared != len(frames)):
        raise VideoError(f"{path} is not a whole video: {len(frames)} of {declared} frames decode")
    return frames, _parse_metadata(comment)


def _parse_metadata(comment: str) -> VideoMetadata | None:
    try:
        found = VideoMetadata(**json.loads(comment))
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = [found.seed, found.steps, *([] if found.round is None else [found.round])]
    if (
        isinstance(found.prompt, str)
        and isinstance(found.pixels_key, str)
        and all(type(number) is int for number in numbers)
    ):
        return found
    return None


def _open(path: Path | str, mode: Literal["r", "w"], **options: Any) -> Any:
    import imageio.v3 as iio

    # Temporary names end in no extension that imageio knows.
    open_untyped: Any = iio.imopen
    return open_untyped(path, mode, plugin="pyav", extension=".mp4", **options)
