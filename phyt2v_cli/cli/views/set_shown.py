"""View of a set that is there: its prompts with the status and the scores of their runs. Prints nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.views.history import Row, lines, rows_of, run_in_list_as_json
from phyt2v_cli.errors import FilesError
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.history.names import is_run
from phyt2v_cli.runs.reader import ShownRun, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyt2v_cli.sets.history import ShownSet


def set_lines(found: "ShownSet", width: int) -> "Iterator[RenderableType]":
    """Lines of a set: how far it is, then its prompts as the runs of a list."""
    told = ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in found.statuses.items())
    yield Text.assemble(console.safe(str(found.path), "bold"), f": {found.status}")
    yield Text(f"  {count(len(found.entries), 'prompt')}: {told}")
    yield Text()
    rows = []
    for entry in found.entries:
        path = found.path / entry.folder
        run = _read(path)
        if run is None:
            rows.append(Row("run", "not begun", "-", str(path), entry.prompt))
        else:
            rows += rows_of([(path, run)])
    yield from lines(rows, width)


def set_as_json(found: "ShownSet") -> dict[str, object]:
    """Set as JSON, with each of its runs as in a list."""
    runs = []
    for entry in found.entries:
        path = found.path / entry.folder
        run = _read(path)
        told = (
            {"run_dir": str(path), "status": "not_begun"}
            if run is None
            else run_in_list_as_json(path, run, {})
        )
        runs.append({"id": entry.id, "line": entry.line, "prompt": entry.prompt, **told})
    return {
        "schema": "phyt2v.set-shown/1",
        "set_dir": str(found.path),
        "status": found.status,
        "statuses": dict(found.statuses),
        "started": found.last_start or None,
        "model": found.model or None,
        "runs": runs,
    }


def _read(path: Path) -> ShownRun | FilesError | None:
    """Run of a prompt; None if it has not begun."""
    if not is_run(path):
        return None
    try:
        return read_run(path)
    except FilesError as error:
        return error
