"""Journal of a run: the lines of its events and the log of an attempt, in its directory and for its host.

Knows run directories; knows no option and no display.
"""

import json
import logging
import platform
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli import __version__
from phyt2v_cli.errors import RunInterruptedError, RunPausedError
from phyt2v_cli.runs.journal.appending import open_in_run
from phyt2v_cli.runs.journal.failures import Worded, as_it_is, end_line
from phyt2v_cli.runs.journal.listening import Listener, listening
from phyt2v_cli.runs.journal.log import OURS, Log, traceback_of, without_keys
from phyt2v_cli.runs.journal.stream import Stream

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.events import Emit, Event
    from phyt2v_cli.runs.directory import RunDir

EVENTS_NAME = "events.ndjson"
LOG_NAME = "logs/attempt-{number}.log"

_SECONDS_BETWEEN_STEPS = 0.3
"""Of steps that follow each other faster than this, some are left out; never the last one."""


@dataclass(frozen=True)
class Host:
    """What a process adds to the journals of its runs. The defaults are those of a call from Python."""

    on_failure: Callable[[str], None]
    """Hears once for each file why it cannot be written."""
    streams: Sequence[Stream] = ()
    """Streams that get the lines too."""
    run_name: str = ""
    """Name of the run in these streams and in `logs`. With one, the line that ends the run is theirs too."""
    logs: Sequence[Log] = ()
    level: int = logging.INFO
    header: str = "called from Python"
    early: Sequence[tuple[int, str, str]] = ()
    """Lines from before the run, for its log."""
    logs_notices: bool = True
    """Whether notices are logged as they are emitted, and not by whoever shows them."""
    worded: Worded = as_it_is
    listening: Callable[[Log], AbstractContextManager[Listener]] = listening


class RunJournal:
    """Journal of one attempt of a run; call it with each event."""

    def __init__(
        self,
        host: Host,
        own: Stream | None = None,
        log: Log | None = None,
        *,
        listener: Listener | None = None,
        key_variables: Collection[str] = (),
    ) -> None:
        """Write to the streams and logs of the host, and to a run's own stream and log."""
        self.data: Mapping[str, object] | None = None
        """JSON object that the attempt ends with."""
        more = {"run": host.run_name} if host.run_name else {}
        self._of_host: list[tuple[Stream, Mapping[str, object]]] = [(stream, more) for stream in host.streams]
        self._own: list[tuple[Stream, Mapping[str, object]]] = [] if own is None else [(own, {})]
        self._log = log
        self._logs = [*([] if log is None else [log]), *host.logs]
        self._host, self._listener, self._key_variables = host, listener, key_variables
        self._last_step = float("-inf")

    def __call__(self, event: "Event") -> None:
        """Write one event to the streams and to the logs."""
        from phyt2v_cli.events import GeneratorReady, LoadStarted, Notice, StepDone
        from phyt2v_cli.events.lines import as_fields, type_of

        kind, content = type_of(event), as_fields(event)
        if isinstance(event, LoadStarted | GeneratorReady) and self._listener is not None:
            self._listener.attach()  # to the loggers of what was imported
        if isinstance(event, Notice):
            if self._host.logs_notices:
                self._write_log(logging.WARNING, "\n".join(filter(None, [event.text, event.hint])))
        elif self._logs:
            level = logging.DEBUG if kind in ("step_done", "stage_started") else logging.INFO
            told = ", ".join(f"{key} {_shown(value)}" for key, value in content.items() if value is not None)
            name = f"{self._host.run_name}: " if self._host.run_name else ""
            self._write_log(level, f"{name}{kind.replace('_', ' ')}{': ' if told else ''}{told}")
        if isinstance(event, StepDone):
            now = time.monotonic()
            if event.step < event.steps and now - self._last_step < _SECONDS_BETWEEN_STEPS:
                return
            self._last_step = now
        self.write(kind, content)

    def before(self, emit: "Emit") -> "Emit":
        """Emit that writes an event before it passes it on."""

        def write_first(event: "Event") -> None:
            self(event)
            emit(event)

        return write_first

    def write(self, kind: str, content: Mapping[str, object]) -> None:
        """Write a line to the streams."""
        from phyt2v_cli.events.lines import line_of

        for stream, more in [*self._of_host, *self._own]:
            stream.write(without_keys(line_of(kind, content, **more), self._key_variables))

    def end(self, error: BaseException | None) -> None:
        """Write what ends the attempt, and close its files; `error` is what ended it, None after success."""
        if isinstance(error, RunPausedError):
            error = None  # it was asked for
        for stream, more in [*self._own, *(self._of_host if self._host.run_name else [])]:
            line = end_line(self.data if error is None else None, error, self._host.worded, **more)
            stream.write(without_keys(line, self._key_variables))
        if self._log is not None:
            if error is None:
                self._log.write(logging.INFO, OURS, f"status: {(self.data or {}).get('status')}")
            elif isinstance(error, RunInterruptedError | KeyboardInterrupt):
                self._log.write(logging.WARNING, OURS, "interrupted")
            else:
                self._log.write(logging.ERROR, OURS, traceback_of(error))
            self._log.close()
        for stream, _ in self._own:
            stream.close()

    def _write_log(self, level: int, text: str) -> None:
        for log in self._logs:
            log.write(level, OURS, text)


@contextmanager
def of_run(run: "RunDir", host: Host, *, has_work: bool | None = None) -> Iterator[RunJournal]:
    """Journal of the work on an open run, in its directory and for the host, until an error.

    Without work nothing is written into the directory; by default there is none in a complete run. What
    cannot be written is a note, and no failure.
    """
    if not (has_work if has_work is not None else run.record.status != "complete"):
        with _until_end(RunJournal(host)) as journal:
            yield journal
        return
    number, key_variables = len(run.record.attempts) + 1, key_variables_of(run.config)
    log = _open_log(run.path / LOG_NAME.format(number=number), host, key_variables)
    own = _open_events(run.path, host)
    with (
        host.listening(log) as listener,
        _until_end(RunJournal(host, own, log, listener=listener, key_variables=key_variables)) as journal,
    ):
        journal.write("start", _start_content(run, number))
        yield journal


@contextmanager
def of_call(
    given: RunJournal | None, run: "RunDir", emit: "Emit", *, has_work: bool | None = None
) -> Iterator[RunJournal]:
    """Journal of a call from Python: the one that was given, which its owner ends, or one for the block.

    Why the latter cannot be written is among the notices of the run; those that nobody has emitted are
    emitted here.
    """
    from phyt2v_cli.events import Notice

    if given is not None:
        yield given
        return
    with of_run(run, Host(on_failure=run.notices.append), has_work=has_work) as journal:
        yield journal
    while run.notices:
        emit(Notice(run.notices.pop(0)))


@contextmanager
def _until_end(journal: RunJournal) -> Iterator[RunJournal]:
    try:
        yield journal
    except BaseException as error:
        journal.end(error)
        raise
    journal.end(None)


def _start_content(run: "RunDir", number: int) -> dict[str, object]:
    return {
        "attempt": number,
        "phyt2v": __version__,
        "prompt": run.record.prompt,
        "rounds": len(run.record.plan),
    }


def _open_events(path: Path, host: Host) -> Stream | None:
    try:
        return Stream(
            open_in_run(path / EVENTS_NAME),
            on_failure=lambda why: host.on_failure(f"no more events in {path}: {why}"),
        )
    except OSError as error:
        host.on_failure(f"no events in {path / EVENTS_NAME}: {error.strerror or error}")
        return None


def _open_log(path: Path, host: Host, key_variables: Collection[str]) -> Log:
    log = Log(path, open_in_run, level=host.level, key_variables=key_variables, on_failure=host.on_failure)
    begin_log(log, host.header)
    for level, source, text in host.early:
        log.write(level, source, text)
    return log


def begin_log(log: Log, header: str) -> None:
    """Write what a log begins with: a header, versions, machine."""
    from phyt2v_cli.runs.attempts import installed_versions

    log.write(logging.INFO, OURS, header)
    versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    log.write(logging.INFO, OURS, f"versions: {versions}")
    log.write(logging.INFO, OURS, f"machine: {platform.platform()}, {platform.machine()}")


def key_variables_of(config: "Config") -> set[str]:
    """Names of the variables that hold the keys of a config."""
    found: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, Mapping):
            if isinstance(name := value.get("api_key_env"), str):
                found.add(name)
            for item in value.values():
                look(item)
        elif isinstance(value, list | tuple):
            for item in value:
                look(item)

    look(config.model_dump())
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
