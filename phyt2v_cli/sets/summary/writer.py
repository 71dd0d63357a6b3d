"""Writer of a set's summary: `summary.csv` and `summary.json`, replaced as prompts finish.

Of each prompt it keeps numbers and its compressed rows, no record. Writing costs at most a twentieth of the
time, however large the set is. Knows no loop and no terminal.
"""

import json
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.shard import Shard
from phyt2v_cli.sets.summary import table
from phyt2v_cli.sets.summary.figures import Numbered, Tree, figures_of
from phyt2v_cli.sets.summary.numbers import PromptNumbers, Status, numbers_of

MIN_PAUSE_S = 5.0
"""Time between two writings of the summary while prompts finish, at least."""
PAUSE_FACTOR = 20
"""The pause is at least so many times as long as the writing took."""

_NOT_BEGUN = PromptNumbers("not_begun")


class SummaryWriter:
    """Writer of the summary of a set, or of a shard. Use it from one thread at a time."""

    def __init__(
        self,
        batch_dir: Path,
        entries: Sequence[PromptEntry],
        shard: Shard | None = None,
        *,
        category_columns: Sequence[str] = (),
    ) -> None:
        """Summarise `entries`, whose runs are in `batch_dir`. Nothing is read or written yet."""
        suffix = shard.suffix if shard else ""
        self.csv_path = batch_dir / f"summary{suffix}.csv"
        self.json_path = batch_dir / f"summary{suffix}.json"
        self._batch_dir = batch_dir
        self._entries = entries
        self._shard = shard
        self._category_columns = category_columns
        self._carried = table.carried_columns(entries)
        self._numbers: dict[str, PromptNumbers] = {}
        self._rows: dict[str, bytes] = {}
        self._final: set[str] = set()
        """Folders whose run does not change any more: it is complete, or has failed in this process."""
        self._not_before = 0.0

    def add(self, entry: PromptEntry, error: str = "") -> None:
        """Take up the run of a prompt that has finished, or failed with `error`; write if it is time to.

        Raises FilesError if the disk refuses the summary. What was added stays known.
        """
        self._read(entry, error)
        self._final.add(entry.folder)
        if time.monotonic() >= self._not_before:
            if self._not_before:
                self._write()
            else:  # so that a summary that is left by a kill has the runs of earlier commands
                self.write()

    def write(self) -> Tree:
        """Write the summary now, with all runs as they are, those included that were not added.

        Returns the figures. Raises FilesError if the disk refuses.
        """
        for entry in self._entries:
            if entry.folder not in self._final and (self._batch_dir / entry.folder / "run.json").exists():
                self._read(entry, "")
                if self._numbers[entry.folder].status == "complete":
                    self._final.add(entry.folder)
        return self._write()

    def numbered(self) -> Numbered:
        """Entries with the numbers of their runs, as of the last writing."""
        return [(entry, self._numbers.get(entry.folder, _NOT_BEGUN)) for entry in self._entries]

    def _read(self, entry: PromptEntry, error: str) -> None:
        run: ShownRun | None = None
        path = self._batch_dir / entry.folder
        try:
            run = read_run(path)
        except FilesError:
            status: Status = "unreadable" if (path / "run.json").exists() else "not_begun"
        else:
            status = run.record.status
        if error:
            status = "failed"
        self._numbers[entry.folder] = numbers_of(run, status) if run is not None else PromptNumbers(status)
        rows = table.rows(entry, run, status, error, self._carried)
        self._rows[entry.folder] = zlib.compress(rows.encode())

    def _write(self) -> Tree:
        begun = time.monotonic()
        try:
            figures = figures_of(
                self.numbered(),
                name=self._batch_dir.absolute().name,
                shard=str(self._shard) if self._shard else None,
                category_columns=self._category_columns,
            )
            with replace_file(self.csv_path) as temporary, temporary.open("wb") as file:
                file.write(table.header(self._carried).encode())
                for entry in self._entries:
                    file.write(self._rows_of(entry))
            with replace_file(self.json_path) as temporary:
                text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False)
                temporary.write_text(text + "\n", encoding="utf-8")
        finally:
            now = time.monotonic()
            self._not_before = now + max(MIN_PAUSE_S, PAUSE_FACTOR * (now - begun))
        return figures

    def _rows_of(self, entry: PromptEntry) -> bytes:
        packed = self._rows.get(entry.folder)
        if packed is None:
            return table.rows(entry, None, _NOT_BEGUN.status, "", self._carried).encode()
        return zlib.decompress(packed)
