"""Metadata of a video: JSON inside the mp4, or in a file beside one that somebody else encoded.

What is read may come from elsewhere, and counts for nothing if it is not sound. Knows no codec and no run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.untrusted import read_plain_file

SCHEMA = "phyt2v.video-metadata/1"
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class VideoMetadata:
    """Metadata of a video: how it was made."""

    prompt: str
    seed: int
    steps: int
    round: int | None = None
    """Number of the round; None for a single video or the control."""
    pixels_key: str = ""
    """Digest of what made the pixels; empty in videos of phyt2v 0.1.0."""


def parse_metadata(text: str) -> VideoMetadata | None:
    """Parse the metadata inside a video; None if it has none."""
    try:
        return _of_tree(json.loads(text))
    except (ValueError, RecursionError):
        return None


def path_beside(video_path: Path) -> Path:
    """Path of the metadata of a video that is kept as somebody else encoded it."""
    return video_path.with_name(f"{video_path.name}.phyt2v.json")


def write_beside(video_path: Path, metadata: VideoMetadata, *, sha256: str, how: Mapping[str, str]) -> None:
    """Write the metadata beside a video, with its checksum and the settings that it was made with.

    Raises FilesError if the disk refuses.
    """
    tree = {"schema": SCHEMA, "sha256": sha256, **asdict(metadata), "generator": dict(how)}
    with replace_file(path_beside(video_path)) as temporary:
        temporary.write_text(json.dumps(tree, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_beside(video_path: Path) -> VideoMetadata | None:
    """Read the metadata beside a video; None if there are none, or if they are those of another file."""
    try:
        tree = json.loads(read_plain_file(path_beside(video_path), _MAX_BYTES))
        if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
            return None
        with video_path.open("rb") as file:
            if tree.pop("sha256", None) != hashlib.file_digest(file, "sha256").hexdigest():
                return None
    except (OSError, ValueError, RecursionError):
        return None
    tree.pop("generator", None)
    return _of_tree(tree)


def _of_tree(tree: object) -> VideoMetadata | None:
    try:
        found = VideoMetadata(**tree)  # type: ignore[arg-type]  # which is what is checked
    except TypeError:
        return None
    numbers = [found.seed, found.steps, *([] if found.round is None else [found.round])]
    if (
        isinstance(found.prompt, str)
        and isinstance(found.pixels_key, str)
        and all(type(number) is int for number in numbers)
    ):
        return found
    return None
