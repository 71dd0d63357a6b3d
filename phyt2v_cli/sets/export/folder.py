"""Folder of an export: its files are hard links or copies, and a ledger says of which runs.

A folder that holds the same export is completed; any other is refused. Nothing is deleted or replaced.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.aside import move_aside
from phyt2v_cli.files.atomic import already_there, describe_os_error, replace_file
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.files.video import sha256_of
from phyt2v_cli.sets.export.plan import ExportedFile, Plan

LEDGER = "export.json"
_SCHEMA: Literal["phyt2v.export-files/1"] = "phyt2v.export-files/1"
_MAX_BYTES = 512 * 2**20


class Written(NamedTuple):
    """What was written into the folder of an export."""

    num_linked: int
    num_copied: int
    num_kept: int
    """Files that were there already."""
    indexes: tuple[Path, ...]


class _Ledger(BaseModel):
    model_config = ConfigDict(strict=True)

    schema_id: Literal["phyt2v.export-files/1"] = Field(alias="schema")
    target: str
    videos: str
    files: dict[str, list[str]]
    """Folder, video and sha256 by name."""


def write_export(plan: Plan, out: Path, *, copy: bool, force: bool) -> Written:
    """Write the files and indexes of a plan into `out`: hard links, or copies with `copy` or without links.

    Raises FilesError if `out` holds something else, unless `force` moves it aside, or if the disk refuses.
    """
    try:
        if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
            if force:
                move_aside(out)
            elif not _holds_part_of(plan, out):
                raise FilesError(
                    f"{out} is there already, and does not hold this export",
                    "Choose another folder with `out`, or move it aside with `force`.",
                )
        out.mkdir(parents=True, exist_ok=True)
        _save(out / LEDGER, json.dumps(_ledger_of(plan), ensure_ascii=False, indent=1) + "\n")
        counts = {"linked": 0, "copied": 0, "kept": 0}
        for file in plan.files:
            counts[_put(plan.batch_dir / file.folder / file.video, out / file.name, file, copy=copy)] += 1
        indexes = plan.indexes(out)
        for name, text in indexes.items():
            _save(out / name, text)
    except OSError as error:
        raise describe_os_error(error, f"{out} could not be written") from error
    indexed = tuple(out / name for name in indexes)
    return Written(counts["linked"], counts["copied"], counts["kept"], indexed)


def _holds_part_of(plan: Plan, out: Path) -> bool:
    """Whether a folder holds a part of this export, of which nothing would change."""
    try:
        ledger = _Ledger.model_validate_json(read_plain_file(out / LEDGER, _MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    is_same = (ledger.target, ledger.videos) == (plan.target, plan.which)
    return is_same and ledger.files.items() <= _files_of(plan).items()


def _files_of(plan: Plan) -> Mapping[str, list[str]]:
    return {file.name: [file.folder, file.video, file.sha256] for file in plan.files}


def _ledger_of(plan: Plan) -> Mapping[str, object]:
    return {"schema": _SCHEMA, "target": plan.target, "videos": plan.which, "files": _files_of(plan)}


def _put(
    source: Path, target: Path, file: ExportedFile, *, copy: bool
) -> Literal["linked", "copied", "kept"]:
    """Link or copy a video, unless it is there already."""
    if os.path.lexists(target):
        is_plain = target.is_file() and not target.is_symlink()
        if not is_plain or sha256_of(target) != file.sha256:
            raise already_there(target)
        return "kept"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        with suppress(OSError):  # another file system, or one without links; a copy says what else is wrong
            os.link(source, target, follow_symlinks=False)
            return "linked"
    with replace_file(target, must_be_new=True) as temporary:
        shutil.copyfile(source, temporary, follow_symlinks=False)
    return "copied"


def _save(path: Path, text: str) -> None:
    with replace_file(path) as temporary:
        # Columns may hold half a character, which no file can.
        temporary.write_bytes(text.encode(errors="replace"))
