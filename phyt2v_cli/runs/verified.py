"""Whether a video file is the one of its record. Knows one file and one record."""

from pathlib import Path

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.video import VideoMetadata, read_video, sha256_of
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import RoundId

IS_LOOK = "is the look that the video continues"
"""What `fault_of` says of a look whose video takes more steps by now: it is no longer needed."""


def fault_of(path: Path, record: VideoRecord) -> str | None:
    """What is wrong with the file of a record's video; None if it is the one that was verified.

    A video may be there without a checksum: its process was killed before it was recorded, or the record was
    lost. It is accepted if its metadata match the record and it decodes in full; then `sha256` is set.
    """
    if not path.is_file():
        return "is no plain file"
    if record.sha256 is not None:
        return None if sha256_of(path) == record.sha256 else "is not the file that was verified"
    try:
        found = read_video(path)[1]
    except VideoError:
        return "does not decode in full"
    number = record.id.number if isinstance(record.id, RoundId) else None
    if found == VideoMetadata(record.prompt, record.seed, record.steps, number, record.pixels_key):
        record.sha256 = sha256_of(path)
        return None
    is_look = record.look is not None and found is not None and found.steps == record.look.steps
    return IS_LOOK if is_look else "was made from something else"
