"""Logs: files of time-stamped lines.

A log that cannot be written is a note, and no failure. No line has a key in it. Knows files;
knows no event and no run directory.
"""

import logging
import re
import threading
import traceback
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from phyt2v_cli.errors import reason_of
from phyt2v_cli.files.untrusted import visible

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

OURS = "phyt2v"
"""Source of our own lines in a log."""
_IN_URL = re.compile(r"(://)[^/\s@]+@")
_AS_NAME = re.compile(r"(api_key_env['\"]?\s*[=:]\s*['\"]?)(?![A-Z_][A-Z0-9_]*\b)[^\s'\"]+")


def without_keys(text: str, key_variables: Collection[str]) -> str:
    """Replace keys in a text: those of the environment, passwords in addresses, keys in place of names."""
    from phyt2v_cli.files.redaction import MASK, redact  # with all names of HTML, which few commands need

    for name in {*key_variables, ""}:
        text = redact(text, name)
    return _AS_NAME.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1{MASK}@", text))


def traceback_of(error: BaseException) -> str:
    """Traceback of an error as text."""
    return "".join(traceback.format_exception(error)).rstrip()


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
        self._on_failure(f"no log in {self._path}: {reason_of(error)}")
