"""Files made from a run are made again while it goes on, if they are there. Knows events; draws nothing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.errors import Phyt2vError
from phyt2v_cli.events import Emit, Event, Notice, RoundDone
from phyt2v_cli.report import contact_sheet, page

_UPDATES: dict[str, Callable[[Path], object]] = {
    page.NAME: page.update_report,
    contact_sheet.NAME: contact_sheet.update_sheet,
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
    for name, update in _UPDATES.items():
        if os.path.isfile(run_path / name):  # noqa: PTH113  never raises
            try:
                update(run_path)
            except Phyt2vError as error:
                emit(Notice(f"{name} could not be brought up to date: {error.message}", error.hint))
