"""Stream of lines for another program, each written at once. Knows no content."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from phyt2v_cli.errors import FilesError, reason_of


class Stream:
    """Stream that events are written to, until its reader is gone."""

    def __init__(
        self, file: TextIO, *, is_stdout: bool = False, on_failure: Callable[[str], None] = lambda _: None
    ) -> None:
        """Write to `file`; `on_failure` hears once why that failed, unless its reader has closed a pipe."""
        self._file: TextIO | None = file
        self._is_stdout = is_stdout
        self._on_failure = on_failure
        self._lock = threading.RLock()

    def write(self, line: str) -> None:
        """Write a line, if the stream is still there."""
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(line)
                self._file.flush()
            except BrokenPipeError:
                self._drop()
            except (OSError, ValueError, FilesError) as error:
                self._drop()
                self._on_failure(reason_of(error))

    def _drop(self) -> None:
        file, self._file = self._file, None
        with suppress(OSError):
            if self._is_stdout and file is not None:  # not sys.stdout, which is another one for the libraries
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
            elif file is not None:
                file.close()

    def close(self) -> None:
        """Close the stream, but not stdout; what is written later is dropped."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None and not self._is_stdout:
                with suppress(OSError):
                    file.close()
