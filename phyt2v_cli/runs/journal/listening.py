"""What libraries log while a run goes on, for the log of that run.

Each thread, and what it begins in others, has the log of its own run. Nothing of the process changes but the
handlers of its loggers, and those only as long as a run goes on. Knows the `logging` module and logs.
"""

import logging
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from phyt2v_cli.runs.journal.log import Log

Tell = Callable[[int, str, str], None]
"""Callback for a level, a source and a text."""

_own_log: ContextVar[Log | None] = ContextVar("log of the run", default=None)


def own_log() -> Log | None:
    """Log of the run that this thread works for; None if it works for none."""
    return _own_log.get()


@contextmanager
def working_for(log: Log) -> Iterator[None]:
    """Let this thread's lines inside the block, and those of work that it begins in others, be for a log."""
    before = _own_log.set(log)
    try:
        yield
    finally:
        _own_log.reset(before)


class Listener(logging.Handler):
    """Handler of what is logged, which is shown as it was before."""

    def __init__(self, tell: Tell) -> None:
        """Pass everything to `tell`, once it is attached."""
        super().__init__()
        self._tell = tell
        self._latest = threading.local()

    def attach(self) -> None:
        """Listen to all loggers, also to those that were made since the last call."""
        loggers = [logger for logger in list(logging.root.manager.loggerDict.values()) if _is_apart(logger)]
        for logger in (logging.root, *loggers):
            logger.addHandler(self)  # type: ignore[union-attr]  # does nothing if it is there

    def detach(self) -> None:
        """Stop listening."""
        for logger in (logging.root, *list(logging.root.manager.loggerDict.values())):
            if isinstance(logger, logging.Logger):
                logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record, once, though several loggers may hand it over."""
        # Not marked in the record itself, whose attributes some handlers print.
        if getattr(self._latest, "record", lambda: None)() is record:
            return
        self._latest.record = weakref.ref(record)
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit the message of a library
            text = str(record.msg)
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        self._tell(record.levelno, record.name, text)
        last = logging.lastResort  # which no record gets as long as this handler is there
        if last is not None and record.levelno >= last.level and not _has_other_handler(record.name, self):
            last.handle(record)


def _is_apart(logger: object) -> bool:
    """Check if the root's handlers do not hear of a logger."""
    return isinstance(logger, logging.Logger) and not logger.propagate


def _has_other_handler(name: str, listener: Listener) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(handler is not listener for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


class _OfRuns:
    """Listener of this process, and the number of runs that need it."""

    def __init__(self) -> None:
        self.listener = Listener(_tell_own_log)
        self.num_runs = 0
        self.lock = threading.Lock()


def _tell_own_log(level: int, source: str, text: str) -> None:
    if (log := own_log()) is not None:
        log.write(level, source, text)


_of_runs = _OfRuns()


@contextmanager
def listening(log: Log) -> Iterator[Listener]:
    """Let a log have what is logged for its run inside the block. All runs of a process share one handler."""
    with _of_runs.lock:
        _of_runs.num_runs += 1
        _of_runs.listener.attach()
    try:
        with working_for(log):
            yield _of_runs.listener
    finally:
        with _of_runs.lock:
            _of_runs.num_runs -= 1
            if not _of_runs.num_runs:
                _of_runs.listener.detach()
