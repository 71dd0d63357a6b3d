"""Memory of an unfinished `force` over a set: which runs it has begun anew.

`force` concerns the runs that were there when it was first given. If the set is stopped and the same command
comes again, runs that it has completed since then stay. A line is appended for each run, so that a large set
costs no more for each. Knows no jobs and no runs, only folder names.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from phyt2v_cli.files.atomic import describe_os_error, sync_folder
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.sets.shard import Shard

_MEMORY_NAME = ".phyt2v-force{shard}.json"
_MAX_BYTES = 256 * 2**20


class _Line(BaseModel):
    """Line of the memory. In `phyt2v.force/1` there was one, which was written again for each run."""

    model_config = ConfigDict(extra="ignore")

    schema_id: Literal["phyt2v.force/1", "phyt2v.force/2"] = Field(alias="schema")
    renewed: list[str]


class ForceMemory:
    """Run folders that an unfinished `force` has begun anew, kept in the set's folder. Thread-safe."""

    def __init__(self, path: Path, renewed: set[str], *, is_torn: bool = False) -> None:
        """Go on with the file at `path`; `is_torn` if its last line has no end."""
        self._path = path
        self._renewed = renewed
        self._is_torn = is_torn
        self._lock = Lock()

    @classmethod
    def read(cls, batch_dir: Path, shard: Shard | None = None) -> Self:
        """Read the memory of a set's folder; lines that cannot be understood say nothing.

        Each shard has one of its own.
        """
        path = batch_dir / _MEMORY_NAME.format(shard=shard.suffix if shard else "")
        try:
            content = read_plain_file(path, _MAX_BYTES)
        except (OSError, ValueError):
            return cls(path, set())
        renewed: set[str] = set()
        for line in content.splitlines():
            with suppress(ValueError):  # of a process that was killed while it wrote, or from elsewhere
                renewed.update(_Line.model_validate_json(line).renewed)
        return cls(path, renewed, is_torn=bool(content) and not content.endswith(b"\n"))

    def __contains__(self, run_dir: Path) -> bool:
        """Whether `force` has begun this run anew already."""
        return run_dir.name in self._renewed

    def add(self, run_dir: Path) -> None:
        """Remember a run that was begun anew. Call it once the old one is out of the way.

        Raises FilesError if the memory cannot be written. A line that is written in part is none.
        """
        line = json.dumps({"schema": "phyt2v.force/2", "renewed": [run_dir.name]}).encode() + b"\n"
        with self._lock:
            if run_dir in self:
                return
            self._renewed.add(run_dir.name)
            try:
                self._append(line)
            except OSError as error:
                raise describe_os_error(error, f"{self._path} could not be written") from error

    def _append(self, line: bytes) -> None:
        """Append a line and sync it to disk. The folder may come from elsewhere, so no link is followed."""
        is_new = not self._path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._path, flags, 0o666), "wb", buffering=0) as file:
            left = b"\n" * self._is_torn + line
            self._is_torn = True
            while left:
                left = left[file.write(left) :]
            self._is_torn = False
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._path.parent)

    def forget(self) -> None:
        """Forget all, because the set is complete; raise FilesError if the memory cannot be deleted."""
        self._renewed.clear()
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise describe_os_error(error, f"{self._path} could not be deleted") from error
