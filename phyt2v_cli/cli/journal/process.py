"""Journal of this process: what `--events` and `--log-file` get of its work.

A command that renders calls `begin`, and the end of the process calls `end`. Knows the console; knows no run
and no outcome.
"""

import logging
import platform
import shlex
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

from phyt2v_cli.cli import console
from phyt2v_cli.cli.journal.appending import open_new
from phyt2v_cli.cli.journal.failures import end_line
from phyt2v_cli.cli.journal.log import LEVELS, Capture, Log
from phyt2v_cli.cli.journal.stream import Stream
from phyt2v_cli.errors import FilesError, Phyt2vError, UsageError

STDOUT = "-"
OURS = "phyt2v"
"""Source of our own lines in a log."""
_MAX_EARLY = 200
"""Lines that are kept for the logs of runs that are opened later."""


class ProcessJournal:
    """Journal of one command: its streams and logs, and what was said before they were open."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.capture: Capture | None = None
        self.events: Stream | None = None
        self.log: Log | None = None
        self.has_stdout = False
        self.data: Mapping[str, object] | None = None
        self.early: list[tuple[int, str, str]] = []
        self.logs: dict[int | None, list[Log]] = {}
        """Logs of runs by the thread that works on them."""
        self.lock = threading.RLock()

    def tell(self, level: int, source: str, text: str) -> None:
        """Write a line to the log of this thread's run; from a thread of no run, to the logs of all."""
        with self.lock:
            own = self.logs.get(threading.get_ident())
            logs = own or [log for several in self.logs.values() for log in several]
            if not logs and len(self.early) < _MAX_EARLY:
                self.early.append((level, source, text))
            if self.log is not None:
                logs = [*logs, self.log]
        for log in logs:
            log.write(level, source, text)

    def listen_to_libraries(self) -> None:
        """Let the logs have what libraries say, from now on."""
        with self.lock:
            if self.capture is None:
                self.capture = Capture(self.tell)


_current = ProcessJournal()


def current() -> ProcessJournal:
    """Journal of the process."""
    return _current


def begin(
    *,
    events: str | None = None,
    log_file: Path | None = None,
    log_level: str = "info",
    as_json: bool = False,
) -> None:
    """Begin the journal of a command: the stream of events (``-`` is stdout), and the log of the process.

    Raises UsageError if events and a JSON object both want stdout, and FilesError if the file of the events
    cannot be opened.
    """
    global _current
    close()
    _current = ProcessJournal()
    _current.level = LEVELS[log_level]
    if events == STDOUT and as_json:
        raise UsageError("--events - and --json both want standard output", "Give --events a file.")
    console.listen(_hear_console)
    if log_file is not None:
        _current.log = Log(log_file, open_new, level=_current.level, on_failure=console.warn)
        tell_header(_current.log)
        _current.listen_to_libraries()
    if events == STDOUT:
        _current.events, _current.has_stdout = Stream(sys.stdout, is_stdout=True), True
    elif events is not None:
        try:
            _current.events = Stream(
                open_new(Path(events)), on_failure=lambda why: console.warn(f"no more events: {why}")
            )
        except OSError as error:
            raise FilesError(
                f"--events: {events} cannot be written: {error.strerror or error}", "Name another file."
            ) from error


def result(line: str) -> None:
    """Print a result's path as data, unless stdout is for events, which end with it."""
    if not _current.has_stdout:
        console.data(line)


def set_data(data: Mapping[str, object]) -> None:
    """Set what the stream of events ends with: the JSON object of the command."""
    _current.data = data


def end(error: BaseException | None = None) -> None:
    """End the journal of the process; `error` is what ended the command, None after success."""
    if _current.events is not None:
        _current.events.write(end_line(_current.data, error))
    if error is not None and _current.log is not None and not isinstance(error, Phyt2vError):
        _current.log.write(logging.ERROR, OURS, traceback_of(error))
    close()


def close() -> None:
    """Close the files of the process and stop listening."""
    console.listen(None)
    if _current.capture is not None:
        _current.capture.detach()
    if _current.events is not None:
        _current.events.close()
    if _current.log is not None:
        _current.log.close()
    _current.capture = _current.events = _current.log = None
    _current.has_stdout = False


def tell_header(log: Log) -> None:
    """Write what a log begins with: command, versions, machine."""
    from phyt2v_cli.runs.attempts import installed_versions

    log.write(logging.INFO, OURS, f"command: {shlex.join(['phyt2v', *sys.argv[1:]])}")
    versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    log.write(logging.INFO, OURS, f"versions: {versions}")
    log.write(logging.INFO, OURS, f"machine: {platform.platform()}, {platform.machine()}")


def _hear_console(kind: str, text: str, hint: str) -> None:
    level = logging.ERROR if kind == "error" else logging.WARNING
    _current.tell(level, OURS, f"{text}\n{hint}" if hint else text)


def traceback_of(error: BaseException) -> str:
    """Traceback of an error as text."""
    return "".join(traceback.format_exception(error)).rstrip()
