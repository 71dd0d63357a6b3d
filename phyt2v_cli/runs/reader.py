"""Reader of finished, running or foreign run directories. Locks, repairs and writes nothing in them.

What a resumed run may trust is decided in `directory.py`; here everything is only shown.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from phyt2v_cli.config.schema import RefinementConfig
from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.files.atomic import describe_os_error
from phyt2v_cli.files.lock import LOCK_NAME, is_locked
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.runs.outcome.candidates import steps_of_rounds
from phyt2v_cli.runs.records import (
    MAX_RECORD_BYTES,
    READ_SCHEMAS,
    SCHEMA,
    VIDEO_SCHEMA,
    RunRecord,
    VideoRecord,
)
from phyt2v_cli.runs.stored import Record
from phyt2v_cli.schedule import controls_of
from phyt2v_cli.video_id import CONTROL, ControlId, RerenderId, RoundId, ids_of_run

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True)
class ShownRun:
    """Content of a run directory."""

    path: Path
    record: RunRecord
    videos: tuple[VideoRecord, ...]
    """Records of the videos: controls first, then the rounds in their order, each with what was rendered of
    it again."""
    broken: tuple[str, ...]
    """Names of records that cannot be read."""

    def rounds_done(self) -> int:
        """Number of rounds whose video is scored; of several candidates one of them."""
        scored = [video.id for video in self.videos if video.scores is not None]
        return len({id.number for id in scored if isinstance(id, RoundId)})

    def result_video(self) -> Path | None:
        """Path of the video that the run returns, by the id in the record; None while there is none."""
        result = self.record.result
        chosen = [video for video in self.videos if result is not None and video.id == result.id]
        return self.path / chosen[0].video if chosen else None

    def shown_video(self) -> VideoRecord | None:
        """Video that the run returns; while there is none, the latest that is rendered; None without any."""
        rendered = [video for video in self.videos if video.sha256 is not None]
        result = self.record.result
        chosen = [video for video in rendered if result is not None and video.id == result.id]
        return next(iter(chosen or reversed(rendered)), None)


def find_runs(folder: Path, max_depth: int = 3) -> Iterator[Path]:
    """Find the run directories at `folder` and below it, sorted by name; links are not followed.

    Raises FilesError if `folder` cannot be listed. Folders below it that cannot be listed are skipped.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise FilesError(f"{folder} cannot be listed: {error.strerror}") from error
    if any(entry.name == "run.json" for entry in entries):
        yield folder
        return
    for entry in entries if max_depth else ():
        with suppress(FilesError, OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from find_runs(folder / entry.name, max_depth - 1)


def read_run(path: Path) -> ShownRun:
    """Read a run directory; raise RunDirError if it holds no run that this phyt2v understands."""
    record = read_run_record(path)
    videos, broken = read_videos(path)
    return ShownRun(path, record, videos, broken)


def read_run_record(path: Path) -> RunRecord:
    """Read what a run directory says of the run as a whole; raises as `read_run` does.

    A run that is recorded as running, and that no process holds, is interrupted.
    """
    try:
        content = read_plain_file(path / "run.json", MAX_RECORD_BYTES)
    except OSError as error:
        raise _no_run(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _no_run(path, str(error)) from error
    try:
        record = RunRecord.model_validate_json(content)
    except ValidationError as error:
        raise RunDirError(
            f"{path}/run.json is broken, or not of the schema {SCHEMA}", "Begin the run again to fix it."
        ) from error
    with suppress(OSError):  # a folder that may not be looked into keeps what it says
        if record.status == "running" and not is_locked(path):
            record.status = "interrupted"  # its process was killed before it could say so
    return record


def _no_run(path: Path, reason: str) -> RunDirError:
    return RunDirError(f"{path} is no run directory: run.json: {reason}", "Name one; `find_runs` lists them.")


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord | None:
    """Read a record from a file; None if there is no file.

    Raises ValueError if it holds no such record, RunDirError if it has another schema, and FilesError if it
    cannot be read.
    """
    try:
        text = read_plain_file(path, MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be read") from error
    family, known = ("run/", READ_SCHEMAS) if kind is RunRecord else ("run-video/", (VIDEO_SCHEMA,))
    schema = schema_of(text, family)
    if schema not in (None, *known):
        raise RunDirError(
            f"{path} has the schema {schema}, and this phyt2v reads {known[-1]}; upgrade phyt2v"
        )
    return kind.model_validate_json(text)


def read_videos(path: Path) -> tuple[tuple[VideoRecord, ...], tuple[str, ...]]:
    """Read the records of a run's videos, controls first, and the names of the broken ones."""
    records, broken = [], []
    patterns = ("control*.json", "blind.json", "round*.json", "rerender*.json")
    for name in (name for pattern in patterns for name in sorted(entry.name for entry in path.glob(pattern))):
        try:
            record = read_record(path / name, VideoRecord)
        except (FilesError, ValueError):
            broken.append(name)
            continue
        if record is None:
            continue
        if name == record.id.record_name:
            records.append(record)
        else:
            broken.append(name)
    return tuple(sorted(records, key=_place)), tuple(broken)


def _place(record: VideoRecord) -> tuple[int, int, str]:
    match record.id:
        case RoundId(number, candidate):
            return number, 0, candidate
        case RerenderId(number, index):
            return number, index, ""
        case ControlId(kind, candidate):
            return (-1 if kind == CONTROL.kind else 0), 0, candidate


def is_complete(path: Path, wanted: RefinementConfig) -> bool:
    """Check if `path` is a complete run, with the controls that are wanted."""
    try:
        return has_all(path, read_run(path).record, wanted)
    except FilesError:
        return False


def has_all(path: Path, record: RunRecord, wanted: RefinementConfig) -> bool:
    """Check if a run is recorded as complete and each of its videos is there and scored.

    That is each round, and each control that is wanted. The content of the videos is not looked at.
    """
    if record.status != "complete":
        return False
    videos = read_videos(path)[0]
    scored = [video for video in videos if video.scores is not None]
    done = {video.id for video in scored if os.path.isfile(path / video.video)}  # noqa: PTH113  never raises
    num_rounds = len(record.plan)
    if record.stop_reason is not None:
        ends = [*done, *([record.result.id] if record.result is not None else [])]
        num_rounds = max((id.number for id in ends if isinstance(id, RoundId)), default=1)
    begun = {video.id for video in videos if isinstance(video.id, RoundId) and video.id.number <= num_rounds}
    controls = controls_of(
        wanted, total_steps=steps_of_rounds(videos, num_rounds), final_steps=record.plan[-1].steps
    )
    return done >= {*begun, *ids_of_run(num_rounds, controls)}


def is_run_dir(path: Path) -> bool:
    """Check if an existing folder is empty or a run directory."""
    names = {entry.name for entry in path.iterdir()}
    if not names or LOCK_NAME in names:
        return True
    try:
        return schema_of(read_plain_file(path / "run.json", MAX_RECORD_BYTES)) is not None
    except (FileNotFoundError, ValueError):
        return False


def schema_of(text: bytes, family: str = "run/") -> str | None:
    """Schema named in the text of a record; None if it names none of that family, ``phyt2v.run/`` by default.

    Raises nothing, whatever the text is.
    """
    try:
        tree = from_json(text)
    except ValueError:
        return None
    schema = tree.get("schema") if isinstance(tree, dict) else None
    return schema if isinstance(schema, str) and schema.startswith(f"phyt2v.{family}") else None
