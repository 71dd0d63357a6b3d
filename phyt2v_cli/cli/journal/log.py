"""Logs: time-stamped lines in files, from the command line, from libraries and from Python's warnings.

A log that cannot be written is a note, and no failure. No line has a key in it. Knows files and the `logging`
module; knows no event and no run directory.
"""

import logging
import re
import threading
import traceback
import warnings
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from phyt2v_cli.files.untrusted import visible

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_HUSHED = ("diffusers", "transformers", "accelerate", "torch")
"""Libraries whose warnings are logged and not shown."""
CONFIGURED_LATE = ("diffusers", "transformers", "ray", "huggingface_hub")
"""Libraries that set up their loggers when they are imported."""
_IN_URL = re.compile(r"(://)[^/\s@]+@")
_AS_NAME = re.compile(r"(api_key_env['\"]?\s*[=:]\s*['\"]?)(?![A-Z_][A-Z0-9_]*\b)[^\s'\"]+")

Tell = Callable[[int, str, str], None]
"""Callback for a level, a source and a text."""


def without_keys(text: str, key_variables: Collection[str]) -> str:
    """Replace keys in a text: those of the environment, passwords in addresses, keys in place of names."""
    from phyt2v_cli.files.redaction import MASK, redact  # with all names of HTML, which few commands need

    for name in {*key_variables, ""}:
        text = redact(text, name)
    return _AS_NAME.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1{MASK}@", text))


class Log:
    """Log file. Its lines begin with a time, or with spaces if they continue the one before."""

    def __init__(
        self,
        path: Path,
        open_file: Callable[[Path], TextIO],
        *,
        level: int,
        key_variables: Collection[str] = (),
        on_failure: Callable[[str], None],
    ) -> None:
        """Open the file; `on_failure` hears once why it cannot be written."""
        self._path, self._level, self._on_failure = path, level, on_failure
        self.key_variables = set(key_variables)
        self._lock = threading.RLock()
        self._file: TextIO | None = None
        try:
            self._file = open_file(path)
        except OSError as error:
            self._fail(error)

    def write(self, level: int, source: str, text: str) -> None:
        """Write a text, if its level is high enough."""
        if level < self._level or self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = without_keys(text, self.key_variables).splitlines() or [""]
        shown = "\n    ".join(visible(line) for line in lines)
        with self._lock:
            try:
                if self._file is not None:
                    self._file.write(f"{now} {logging.getLevelName(level)} {source}: {shown}\n")
            except (OSError, ValueError) as error:
                self._fail(error)

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        with self._lock:
            file, self._file = self._file, None
            try:
                if file is not None:
                    file.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._file = None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self._on_failure(f"no log in {self._path}: {reason}")


class Capture(logging.Handler):
    """Handler of what libraries log, and hook of what they warn of. Both are shown as they were before."""

    def __init__(self, tell: Tell) -> None:
        """Pass everything to `tell`."""
        super().__init__()
        self._tell = tell
        self._show = warnings.showwarning
        self._hook = self._warn
        warnings.showwarning = self._hook
        for name in _HUSHED:  # which would be dropped before anybody hears of them
            warnings.filterwarnings("default", module=rf"{name}\b.*")
        for name in CONFIGURED_LATE:
            _get_wide_logger(name).addHandler(self)
        self.attach()

    def attach(self) -> None:
        """Listen to all loggers, also to those that were made since the last call."""
        loggers = [logger for logger in logging.root.manager.loggerDict.values() if _is_apart(logger)]
        for logger in (logging.root, *loggers):
            if self not in logger.handlers:  # type: ignore[union-attr]
                logger.addHandler(self)  # type: ignore[union-attr]

    def detach(self) -> None:
        """Stop listening."""
        if warnings.showwarning == self._hook:
            warnings.showwarning = self._show
        for logger in (logging.root, *logging.root.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger):
                logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record, once, though several loggers may hand it over."""
        if getattr(record, "is_in_journal", False):
            return
        record.is_in_journal = True
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

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._tell(logging.WARNING, category.__name__, f"{message} ({filename}:{lineno})")
        if not {*Path(filename).parts} & {*_HUSHED}:
            self._show(message, category, filename, lineno, file, line)


class _WideLogger(logging.Logger):
    """Logger of a library, which gives a log its warnings too, whatever level the library shows."""

    _shown = logging.NOTSET

    def setLevel(self, level: int | str) -> None:  # noqa: N802  as in logging
        super().setLevel(level)
        self._shown = self.level
        super().setLevel(min(self.level, logging.WARNING))
        for handler in self.handlers:
            if not isinstance(handler, Capture):
                handler.setLevel(self._shown)

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  as in logging
        super().addHandler(hdlr)
        if not isinstance(hdlr, Capture):
            hdlr.setLevel(max(hdlr.level, self._shown))


def _get_wide_logger(name: str) -> logging.Logger:
    if not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger):
        usual = logging.getLoggerClass()
        logging.setLoggerClass(_WideLogger)
        try:
            return logging.getLogger(name)
        finally:
            logging.setLoggerClass(usual)
    return logging.getLogger(name)


def _is_apart(logger: object) -> bool:
    """Check if the root's handlers do not hear of a logger."""
    return isinstance(logger, logging.Logger) and not logger.propagate


def _has_other_handler(name: str, capture: Capture) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(handler is not capture for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
