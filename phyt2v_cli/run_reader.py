"""Read a finished, running or foreign run directory without locking, mending or writing anything in it.

What a run that goes on may trust is `run_dir.py`'s business; here everything is only shown.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.folder_lock import LOCK_NAME
from phyt2v_cli.plain_files import read_plain_file
from phyt2v_cli.records import MAX_RECORD_BYTES, SCHEMA, RoundRecord, RunRecord


@dataclass(frozen=True)
class ShownRun:
    """What a run directory holds."""

    path: Path
    record: RunRecord
    videos: tuple[RoundRecord, ...]
    """The control first, where there is one, then the rounds in their order."""
    broken: tuple[str, ...]
    """Names of records that cannot be read."""


def read_run(path: Path) -> ShownRun:
    """Return what `path` holds; raise RunDirError where it holds no run that this phyt2v understands."""
    try:
        content = read_plain_file(path / "run.json", MAX_RECORD_BYTES)
    except OSError as error:
        raise RunDirError(f"{path} is no run directory: run.json: {error.strerror}") from error
    except ValueError as error:
        raise RunDirError(f"{path} is no run directory: run.json: {error}") from error
    try:
        record = RunRecord.model_validate_json(content)
    except ValidationError as error:
        raise RunDirError(
            f"{path}/run.json is broken, or not of the schema {SCHEMA}; repeat the run's command to mend it"
        ) from error
    videos, broken = read_videos(path)
    return ShownRun(path, record, videos, broken)


def read_videos(path: Path) -> tuple[tuple[RoundRecord, ...], tuple[str, ...]]:
    """Return the records of a run's videos, the control first, and the names of the broken ones."""
    records, broken = [], []
    for name in ("control.json", *sorted(entry.name for entry in path.glob("round*.json"))):
        try:
            record = RoundRecord.model_validate_json(read_plain_file(path / name, MAX_RECORD_BYTES))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):  # a ValidationError is a ValueError
            broken.append(name)
            continue
        if name == ("control.json" if record.round is None else f"round{record.round}.json"):
            records.append(record)
        else:
            broken.append(name)
    return tuple(sorted(records, key=lambda record: record.round or 0)), tuple(broken)


def is_run_dir(path: Path) -> bool:
    """Tell whether an existing folder is empty or a run directory."""
    names = {entry.name for entry in path.iterdir()}
    if not names or LOCK_NAME in names:
        return True
    try:
        return schema_of(read_plain_file(path / "run.json", MAX_RECORD_BYTES)) is not None
    except (FileNotFoundError, ValueError):
        return False


def schema_of(text: bytes) -> str | None:
    """Return the schema that a run.json names; None where it is no run.json."""
    try:
        tree = from_json(text)
    except ValueError:
        return None
    schema = tree.get("schema") if isinstance(tree, dict) else None
    return schema if isinstance(schema, str) and schema.startswith("phyt2v.run/") else None
