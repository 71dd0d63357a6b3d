"""Files that are there whole or not at all, even after a crash or on a full disk. Knows no format."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from phyt2v_cli.errors import FilesError

TEMPORARY = ".*.phyt2v-tmp"
"""Glob of the temporary files; whoever holds a folder's lock may delete what a killed process left."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a new, empty file beside `path` to write to; afterwards it becomes `path`, on disk for good.

    Any number of threads and processes may replace one `path`: the last to end wins. If the block raises,
    `path` stays as it was and the temporary file is gone. Raises FilesError for what the operating system
    refuses, inside the block too.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.phyt2v-tmp")
    try:
        # Made here, since in a folder from elsewhere the name may be taken by a link, and writing would
        # follow it. Not by `tempfile`, whose files only their owner may read.
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be written") from error


def sync_folder(path: Path) -> None:
    """Make renames in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def describe_os_error(error: OSError, what: str) -> FilesError:
    """Return the FilesError for `error`, with what to do about the usual causes."""
    space, folder = "Free some space, and do the same again.", "Choose another folder with `out`."
    reason, hint = {
        errno.ENOSPC: ("the disk is full", space),
        errno.EDQUOT: ("the disk quota is used up", space),
        errno.EFBIG: ("the file would be larger than this account may write", ""),
        errno.EACCES: ("permission denied", folder),
        errno.EPERM: ("permission denied", folder),
        errno.EROFS: ("the file system is read-only", folder),
    }.get(error.errno or 0, (error.strerror or str(error), ""))
    return FilesError(f"{what}: {reason}", hint)
