"""Files made from a run are made again while it goes on, if they are there. Knows events; draws nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.errors import Phyt2vError
from phyt2v_cli.events import Emit, Event, Notice, RoundDone
from phyt2v_cli.report import contact_sheet, page

_MAKERS: dict[str, Callable[[Path], object]] = {
    page.NAME: page.write_report,
    contact_sheet.NAME: contact_sheet.contact_sheet,
}


@contextmanager
def kept_current(run_path: Path, emit: Emit) -> Iterator[Emit]:
    """Yield an `emit` after whose rounds the page and the contact sheet of the run are made again.

    Also at the end of the block, whatever ends it. Files that are not there are not made. If one cannot be
    made, that is only a note: the run is worth more than its page.
    """

    def hear(event: Event) -> None:
        emit(event)
        if isinstance(event, RoundDone):
            _update(run_path, emit)

    try:
        yield hear
    finally:
        _update(run_path, emit)


def _update(run_path: Path, emit: Emit) -> None:
    for name, make in _MAKERS.items():
        if _is_stale(run_path / name):
            try:
                make(run_path)
            except Phyt2vError as error:
                emit(Notice(f"{name} could not be brought up to date: {error.message}", error.hint))


def _is_stale(path: Path) -> bool:
    """Check if a file is there, and older than a record of its run."""
    try:
        made = path.stat().st_mtime_ns
        return any(record.stat().st_mtime_ns >= made for record in path.parent.glob("*.json"))
    except OSError:
        return False
