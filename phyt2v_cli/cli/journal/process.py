"""Journal of this process: what `--events` and `--log-file` get of its work.

A command that renders calls `begin`, and the end of the process calls `end`. Knows the console; knows no run
and no outcome.
"""

import logging
import re
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from phyt2v_cli.cli import console
from phyt2v_cli.cli.journal.capture import Capture
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import FilesError, Phyt2vError, UsageError
from phyt2v_cli.files.untrusted import read_start
from phyt2v_cli.runs.journal.failures import end_line
from phyt2v_cli.runs.journal.listening import own_log, working_for
from phyt2v_cli.runs.journal.log import LEVELS, OURS, Log, traceback_of
from phyt2v_cli.runs.journal.run import EVENTS_NAME, LOG_NAME, begin_log
from phyt2v_cli.runs.journal.stream import Stream

STDOUT = "-"
_MAX_EARLY = 200
"""Lines that are kept for the logs of runs that are opened later."""
_FIRST_BYTES = {
    "--events": re.compile(rb'\{"schema": "phyt2v\.event/'),
    "--log-file": re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ "),
}
"""First bytes of the files that an option may write over."""


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
        self.logs: list[Log] = []
        """Logs of the runs that go on."""
        self.lock = threading.RLock()

    def tell(self, level: int, source: str, text: str) -> None:
        """Write a line to the log of this thread's run; from a thread of no run, to the logs of all."""
        with self.lock:
            own = own_log()
            logs = list(self.logs) if own is None else [own]
            if not logs and len(self.early) < _MAX_EARLY:
                self.early.append((level, source, text))
            if self.log is not None:
                logs = [*logs, self.log]
        for log in logs:
            log.write(level, source, text)

    def listen_to_libraries(self) -> Capture:
        """Let the logs have what libraries say, from now on."""
        with self.lock:
            if self.capture is None:
                self.capture = Capture(self.tell)
            return self.capture

    @contextmanager
    def listening(self, log: Log) -> Iterator[Capture]:
        """Let the log of a run have its lines inside the block, and those of threads that work for no run."""
        capture = self.listen_to_libraries()
        with self.lock:
            self.logs.append(log)
        try:
            with working_for(log):
                yield capture
        finally:
            with self.lock:
                self.logs.remove(log)


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
    cannot be opened, or if one of the two files is there and holds something else.
    """
    global _current
    close()
    _current = ProcessJournal()
    _current.level = LEVELS[log_level]
    if events == STDOUT and as_json:
        raise UsageError("--events - and --json both want standard output", "Give --events a file.")
    console.listen(_hear_console)
    if log_file is not None:
        _check_target("--log-file", log_file)
        _current.log = Log(log_file, _open_new, level=_current.level, on_failure=console.warn)
        begin_log(_current.log, command_line())
        _current.listen_to_libraries()
    if events == STDOUT:
        _current.events = Stream(sys.stdout, is_stdout=True, on_failure=_tell_no_more_events)
        _current.has_stdout = True
    elif events is not None:
        _check_target("--events", Path(events))
        try:
            _current.events = Stream(_open_new(Path(events)), on_failure=_tell_no_more_events)
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
        _current.events.write(end_line(_current.data, error, worded))
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


def command_line() -> str:
    """Line of a log that says what was called."""
    return f"command: {shlex.join(['phyt2v', *sys.argv[1:]])}"


def _check_target(option: str, path: Path) -> None:
    """Raise FilesError if `path` is there and is a run's own, or no earlier file of this option."""
    try:
        start = read_start(path, 40)
    except (OSError, ValueError):  # opening it says what is wrong; a pipe or a device may be written
        return
    of_runs = enumerate([EVENTS_NAME, LOG_NAME.format(number="*")])
    full = path.absolute()
    if any(full.match(name) and (full.parents[depth] / "run.json").exists() for depth, name in of_runs):
        raise FilesError(f"{option}: {path} is a run's own file", "Name another file.")
    if start and not _FIRST_BYTES[option].match(start):
        raise FilesError(f"{option}: {path} is there already and holds something else", "Name another file.")


def _tell_no_more_events(why: str) -> None:
    console.warn(f"no more events: {why}")


def _open_new(path: Path) -> TextIO:
    """Open a file that the user has named, with nothing in it; it may be a pipe or a device."""
    return path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)


def _hear_console(kind: str, text: str, hint: str) -> None:
    level = logging.ERROR if kind == "error" else logging.WARNING
    _current.tell(level, OURS, f"{text}\n{hint}" if hint else text)
