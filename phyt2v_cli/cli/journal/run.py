"""Journal of a run: the lines of its events and the log of an attempt, in its directory and for the process.

Knows run directories; knows no option and no display.
"""

import json
import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli import __version__
from phyt2v_cli.cli import console
from phyt2v_cli.cli.journal.appending import open_in_run
from phyt2v_cli.cli.journal.failures import end_line
from phyt2v_cli.cli.journal.log import Log, without_keys
from phyt2v_cli.cli.journal.process import OURS, current, set_data, tell_header, traceback_of
from phyt2v_cli.cli.journal.stream import Stream
from phyt2v_cli.errors import RunInterruptedError

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.events import Event
    from phyt2v_cli.runs.directory import RunDir

EVENTS_NAME = "events.ndjson"
LOG_NAME = "logs/attempt-{number}.log"

_SECONDS_BETWEEN_STEPS = 0.3
"""Of steps that follow each other faster than this, some are left out; never the last one."""


class RunJournal:
    """Journal of one attempt of a run; call it with each event."""

    def __init__(
        self,
        streams: "list[tuple[Stream, dict[str, object]]]",
        logs: list[Log],
        name: str = "",
        key_variables: Collection[str] = (),
    ) -> None:
        """Write to streams, with what each adds to a line, and to logs, with the name of the run."""
        self.key_variables = key_variables
        self.data: Mapping[str, object] | None = None
        """JSON object that the attempt ends with."""
        self._streams, self._logs, self._name = streams, logs, name
        self._last_step = float("-inf")

    def __call__(self, event: "Event") -> None:
        """Write one event to the streams and to the log."""
        from phyt2v_cli.events import GeneratorReady, LoadStarted, Notice, StepDone
        from phyt2v_cli.events.lines import as_fields, type_of

        kind, content = type_of(event), as_fields(event)
        if isinstance(event, LoadStarted | GeneratorReady) and (capture := current().capture) is not None:
            capture.attach()  # to the loggers of what was imported
        if self._logs and not isinstance(event, Notice):  # the console tells those
            level = logging.DEBUG if kind in ("step_done", "stage_started") else logging.INFO
            told = ", ".join(f"{key} {_shown(value)}" for key, value in content.items() if value is not None)
            words = f"{self._name}{kind.replace('_', ' ')}{': ' if told else ''}{told}"
            for log in self._logs:
                log.write(level, OURS, words)
        if isinstance(event, StepDone):
            now = time.monotonic()
            if event.step < event.steps and now - self._last_step < _SECONDS_BETWEEN_STEPS:
                return
            self._last_step = now
        self.write(kind, content)

    def write(self, kind: str, content: Mapping[str, object]) -> None:
        """Write a line to the streams."""
        from phyt2v_cli.events.lines import line_of

        for stream, more in self._streams:
            stream.write(without_keys(line_of(kind, content, **more), self.key_variables))


def of_command() -> RunJournal:
    """Journal of a command without a run directory."""
    process = current()
    return RunJournal(
        [(process.events, {})] if process.events is not None else [],
        [process.log] if process.log is not None else [],
    )


@contextmanager
def of_run(run: "RunDir", *, is_of_set: bool = False, has_work: bool | None = None) -> Iterator[RunJournal]:
    """Journal of the work on an open run, in its directory and for the process, until an error.

    In the stream of a set each line has the name of its run. Without work nothing is written into the
    directory; by default there is none in a complete run. What cannot be
    written is a note, and no failure.
    """
    process = current()
    more: dict[str, object] = {"run": run.path.name} if is_of_set else {}
    of_process = [(process.events, more)] if process.events is not None else []
    logs = [] if process.log is None else [process.log]
    name = f"{run.path.name}: " if is_of_set else ""
    log, own = None, None
    if has_work if has_work is not None else run.record.status != "complete":
        process.listen_to_libraries()
        number = len(run.record.attempts) + 1
        own = _open_events(run.path)
        log = _open_log(run, number)
        own_streams: list[tuple[Stream, dict[str, object]]] = [(own, {})] if own is not None else []
        journal = RunJournal([*of_process, *own_streams], [log, *logs], name, log.key_variables)
        journal.write("start", _start_content(run, number))
    else:
        journal = RunJournal(of_process, logs, name)
    try:
        with _as_thread_of(log):
            yield journal
    except BaseException as error:
        _finish(journal, own, of_process if is_of_set else [], log, error)
        raise
    _finish(journal, own, of_process if is_of_set else [], log, None)
    if not is_of_set and journal.data is not None:
        set_data(journal.data)


def _finish(
    journal: RunJournal,
    own: Stream | None,
    of_set: "list[tuple[Stream, dict[str, object]]]",
    log: Log | None,
    error: BaseException | None,
) -> None:
    for stream, more in [*([(own, {})] if own is not None else []), *of_set]:
        stream.write(without_keys(end_line(journal.data, error, **more), journal.key_variables))
    if log is not None:
        if error is None:
            log.write(logging.INFO, OURS, f"status: {(journal.data or {}).get('status')}")
        elif isinstance(error, RunInterruptedError | KeyboardInterrupt):
            log.write(logging.WARNING, OURS, "interrupted")
        else:
            log.write(logging.ERROR, OURS, traceback_of(error))
        log.close()
    if own is not None:
        own.close()


def _start_content(run: "RunDir", number: int) -> dict[str, object]:
    return {
        "attempt": number,
        "phyt2v": __version__,
        "prompt": run.record.prompt,
        "rounds": len(run.record.plan),
    }


def _open_events(path: Path) -> Stream | None:
    try:
        return Stream(
            open_in_run(path / EVENTS_NAME),
            on_failure=lambda why: console.warn(f"no more events in {path}: {why}"),
        )
    except OSError as error:
        console.warn(f"no events in {path / EVENTS_NAME}: {error.strerror or error}")
        return None


def _open_log(run: "RunDir", number: int) -> Log:
    log = Log(
        run.path / LOG_NAME.format(number=number),
        open_in_run,
        level=current().level,
        key_variables=key_variables_of(run.config),
        on_failure=console.warn,
    )
    tell_header(log)
    for level, source, text in current().early:
        log.write(level, source, text)
    return log


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


@contextmanager
def _as_thread_of(log: Log | None) -> Iterator[None]:
    """Let this thread's lines be those of a run."""
    if log is None:
        yield
        return
    thread, process = threading.get_ident(), current()
    with process.lock:
        process.logs.setdefault(thread, []).append(log)
    try:
        yield
    finally:
        with process.lock:
            process.logs[thread].remove(log)
            if not process.logs[thread]:
                del process.logs[thread]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
