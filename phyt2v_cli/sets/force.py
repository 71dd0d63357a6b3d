"""Memory of an unfinished `force` over a set: which runs it has begun anew.

`force` concerns the runs that were there when it was first given. If the set is stopped and the same command
comes again, runs that it has completed since then stay. Knows no jobs and no runs, only folder names.
"""

import json
from pathlib import Path
from threading import Lock
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.sets.shard import Shard

_MEMORY_NAME = ".phyt2v-force{shard}.json"
_MAX_BYTES = 256 * 2**20


class _Memory(BaseModel):
    model_config = ConfigDict(extra="ignore")

    schema_id: Literal["phyt2v.force/1"] = Field(alias="schema")
    renewed: list[str]


class ForceMemory:
    """Run folders that an unfinished `force` has begun anew, kept in the set's folder. Thread-safe."""

    def __init__(self, path: Path, renewed: set[str]) -> None:
        self._path = path
        self._renewed = renewed
        self._lock = Lock()

    @classmethod
    def read(cls, batch_dir: Path, shard: Shard | None = None) -> Self:
        """Read the memory of a set's folder; it is empty if there is none that can be understood.

        Each shard has one of its own.
        """
        path = batch_dir / _MEMORY_NAME.format(shard=shard.suffix if shard else "")
        try:
            memory = _Memory.model_validate_json(read_plain_file(path, _MAX_BYTES))
        except (OSError, ValueError):
            return cls(path, set())
        return cls(path, set(memory.renewed))

    def __contains__(self, run_dir: Path) -> bool:
        """Whether `force` has begun this run anew already."""
        return run_dir.name in self._renewed

    def add(self, run_dir: Path) -> None:
        """Remember a run that was begun anew. Call it once the old one is out of the way.

        Raises FilesError if the memory cannot be written.
        """
        if run_dir in self:
            return
        with self._lock:
            self._renewed.add(run_dir.name)
            content = {"schema": "phyt2v.force/1", "renewed": sorted(self._renewed)}
            with replace_file(self._path) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")

    def forget(self) -> None:
        """Forget all, because the set is complete; raise FilesError if the memory cannot be deleted."""
        self._renewed.clear()
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise describe_os_error(error, f"{self._path} could not be deleted") from error
