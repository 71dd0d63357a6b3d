"""Requests to a running process from another one, as a file in the run directory: stop, or go to the final.

A file reaches a process on another machine too, over a network drive, where a signal does not.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.lock import is_locked
from phyt2v_cli.files.untrusted import read_plain_file

NAME = ".phyt2v.stop"
Request = Literal["now", "final"]
_MAX_BYTES = 100
ASKED_EVERY_S = 0.5


def request_stop(path: Path, request: Request) -> None:
    """Ask the process that works on a run to stop now, or to render the final next.

    Raises RunDirError if no process works on it, and FilesError if the request cannot be written.
    """
    try:
        is_running = is_locked(path)
    except OSError as error:
        raise RunDirError(f"{path} cannot be looked into: {error.strerror}") from error
    if not is_running:
        raise RunDirError(f"No process works on {path}.", "`find_runs` lists the runs and their status.")
    with replace_file(path / NAME) as temporary:
        temporary.write_text(request, encoding="utf-8")


class StopFile:
    """Requests to the process that works on a run. Those from before it are forgotten."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Forget what was asked of an earlier process."""
        self._path, self._clock = path / NAME, clock
        self._found: str | None = None
        self._next_look = 0.0
        self.forget()

    def forget(self) -> None:
        """Remove the request, which has been met."""
        self._found = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError:  # a folder that cannot be written ends the run by itself
            return

    def wants(self, request: Request) -> bool:
        """Check if this is asked for; the file is looked at twice a second at most."""
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + ASKED_EVERY_S
            try:
                self._found = read_plain_file(self._path, _MAX_BYTES).decode("ascii", "replace").strip()
            except (OSError, ValueError):
                self._found = None
        return self._found == request
