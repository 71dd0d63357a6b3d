"""Followers of the events of runs that other processes do, by reading files again and again.

That works over a network drive too. Knows run directories and lines of events; draws and prints nothing.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.events.lines import END, START, parse_line, time_of
from phyt2v_cli.files.lock import LOCK_NAME, is_locked
from phyt2v_cli.files.untrusted import open_plain_file, read_plain_file
from phyt2v_cli.runs.journal.run import EVENTS_NAME
from phyt2v_cli.runs.reader import read_run

Line = dict[str, Any]
State = Literal["running", "complete", "interrupted", "failed"]

_PATIENCE_S = 60.0
"""Silence after which a run of another machine, whose lock may not be seen from here, counts as ended."""
_MAX_READ_BYTES = 64 * 2**20
_MAX_OWNER_BYTES = 4096


class Tail:
    """Lines of a file that grows; a last line without its end is left for later."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of the file, which need not exist yet."""
        self._path = path
        self._position = 0
        self._identity: tuple[int, int] | None = None
        self._rest = b""

    def read(self) -> list[str]:
        """New lines since the last call; another file in its place is read from its start."""
        try:
            # Opened each time: a network drive asks its server only then.
            with open_plain_file(self._path) as file:
                status = os.fstat(file.fileno())
                identity = status.st_dev, status.st_ino
                if identity != self._identity or status.st_size < self._position:
                    self._identity, self._position, self._rest = identity, 0, b""
                file.seek(self._position)
                content = file.read(_MAX_READ_BYTES)
        except (OSError, ValueError):
            return []
        self._position += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class RunFollower:
    """Follower of one run, from the start of its latest attempt until that ends."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Follow the run in `path`; nothing is read yet."""
        self.path = path
        self.end: Line | None = None
        """Line that ended the latest attempt."""
        self._tail = Tail(path / EVENTS_NAME)
        self._clock = clock
        self._heard_at: float | None = None
        self._has_begun, self._is_free = False, True

    def read(self) -> list[Line]:
        """Read the new lines of the latest attempt, its start included."""
        is_free = not self._is_held()  # asked first: what ends a run is written while it is held
        lines: list[Line] = []
        for text in self._tail.read():
            line = parse_line(text)
            if line is None:
                continue
            if line["type"] == START:
                lines, self.end = [], None
            if line["type"] == END:
                self.end = line
            lines.append(line)
        if lines and (self._has_begun or abs(time.time() - (time_of(lines[-1]) or 0)) < _PATIENCE_S):
            self._heard_at = self._clock()
        self._has_begun, self._is_free = True, is_free
        return lines

    @property
    def is_running(self) -> bool:
        """Whether the run is still going, as far as was known at the last `read`."""
        if not self._is_free:
            return True
        if self.end is not None or self._is_of_here():
            return False
        return self._heard_at is not None and self._clock() - self._heard_at < _PATIENCE_S

    def state(self) -> State:
        """State of the run by its record; one that nobody does and that is not complete is interrupted."""
        if self.is_running:
            return "running"
        try:
            status = read_run(self.path).record.status
        except RunDirError:
            return "interrupted"
        return "interrupted" if status == "running" else status

    def _is_held(self) -> bool:
        with suppress(OSError):
            return is_locked(self.path, LOCK_NAME)
        return False

    def _is_of_here(self) -> bool:
        """Check if the process that last held the run is of this machine, whose locks are all seen."""
        try:
            owner = json.loads(read_plain_file(self.path / ".phyt2v.owner", _MAX_OWNER_BYTES))
            return isinstance(owner, Mapping) and owner.get("host") == socket.gethostname()
        except (OSError, ValueError, RecursionError):
            return True
