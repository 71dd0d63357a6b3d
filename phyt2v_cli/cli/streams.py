"""Standard streams of the process: closed ones are filled, and a display that is gone ends no work.

Knows file descriptors and Python's streams; knows no console, command or outcome.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from phyt2v_cli.errors import FilesError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def prepare() -> None:
    """Fill closed standard descriptors, and let stderr drop what nobody can read any more.

    A closed standard input stays None, so that its reader can say so.
    """
    for descriptor in (0, 1, 2):
        _fill(descriptor)
    if sys.stdout is None or _is_of_the_process(sys.stdout, 1):
        sys.stdout = _open(_DataFile(1, "w", closefd=False), sys.stdout)
    if sys.stderr is None or _is_of_the_process(sys.stderr, 2):
        sys.stderr = _open(_LossyFile(2, "w", closefd=False), sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Progress bars in an ASCII locale, and file names that are no text, must not end a run.
            reconfigure(errors="backslashreplace")


def hush_stdout() -> None:
    """Redirect stdout to the null device, so that the flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _DataFile(io.FileIO):
    """File of which a failed write is a FilesError, except for a closed pipe, which is no error."""

    def write(self, data: "ReadableBuffer") -> int:
        """Write, as FileIO does."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            hush_stdout()
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise FilesError(f"standard output could not be written: {reason}") from error


class _LossyFile(io.FileIO):
    """File of which every write succeeds: a closed pipe, a full disk or a lost terminal swallows it."""

    def write(self, data: "ReadableBuffer") -> int:
        """Write what can be written, and drop the rest."""
        written = None
        with suppress(OSError):
            written = super().write(data)
        return memoryview(data).nbytes if written is None else written


def _fill(descriptor: int) -> None:
    """Open the null device as a closed descriptor, which the next file would become otherwise.

    A library that writes to its standard error would write into that file.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest free number is taken, and those below are open.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_of_the_process(stream: TextIO, descriptor: int) -> bool:
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == descriptor
    except (OSError, ValueError):  # a stream without a descriptor, or a closed one
        return False


def _open(file: io.FileIO, instead_of: TextIO | None) -> io.TextIOWrapper:
    encoding = None if instead_of is None else instead_of.encoding
    is_for_people = file.fileno() == 2 or file.isatty()
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, line_buffering=is_for_people)
