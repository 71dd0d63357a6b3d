"""Atomic writes: files are whole or absent, even after a crash or on a full disk. Knows no format."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from phyt2v_cli.errors import FilesError

_SUFFIX = ".phyt2v-tmp"
TEMPORARY = f".*{_SUFFIX}"
"""Glob of the temporary files. Their process has locked them, so that those of a killed one are known."""


_NOT_OFFERED = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EBADF,
    errno.EPERM,
    errno.EACCES,  # a folder that may be written to and not read cannot be opened
}
"""Answers of file systems (FUSE, network, FAT) that cannot sync a folder or make hard links."""


@contextmanager
def replace_file(path: Path, *, must_be_new: bool = False) -> Iterator[Path]:
    """Replace a file atomically: yield a new, empty file to write to, which then becomes `path`.

    It is synced to disk. Any number of threads and processes may replace one `path`: the last to end wins; if
    it `must_be_new`, the first, and FilesError is raised for the others. If the block raises, `path` stays as
    it was and the temporary file is deleted; one that a killed process has left is deleted first. Raises
    FilesError for every OSError, inside the block too.
    """
    sweep(path.parent, path.name)
    try:
        temporary, descriptor = _create_temporary(path)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            if must_be_new:
                _move_to_new(temporary, path)
            else:
                temporary.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            os.close(descriptor)
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be written") from error


def sweep(folder: Path, name: str = "") -> None:
    """Delete temporary files that killed processes have left in a folder; with `name`, those of one file.

    Files that are being written are left alone, and so is what cannot be deleted.
    """
    prefix = f".{name}." if name else "."
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_temporary = entry.name.startswith(prefix) and entry.name.endswith(_SUFFIX)
            if is_temporary and entry.is_file(follow_symlinks=False):
                _delete_if_unlocked(entry.path)


def _delete_if_unlocked(path: str) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # noqa: PTH108  the name is a text already
        finally:
            os.close(descriptor)


def _create_temporary(path: Path) -> tuple[Path, int]:
    """Create and lock the temporary file of `path`; returns its path and descriptor.

    In a folder from elsewhere the name may be taken by a link, and writing would follow it, so it must be
    new. It is not made by `tempfile`, whose files only their owner may read.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        temporary = path.with_name(f".{path.name}.{token_hex(4)}{_SUFFIX}")
        descriptor = os.open(temporary, flags, 0o666)
        with suppress(OSError):  # a file system without locks; `sweep` finds none of its files unlocked
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:  # else it was swept before it was locked
            return temporary, descriptor
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Sync a folder, so that renames in it survive a power cut, if the file system can do that."""
    try:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def already_there(path: Path) -> FilesError:
    """Make the error for a file that is in the way of a new one."""
    return FilesError(
        f"{path} is there already", "Choose another name with `out`, or replace it with `force`."
    )


def _move_to_new(temporary: Path, path: Path) -> None:
    try:
        try:
            os.link(temporary, path)  # never replaces anything; the temporary name is deleted afterwards
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            path.touch(exist_ok=False)  # claims the name
            temporary.replace(path)
    except FileExistsError as error:
        raise already_there(path) from error


def describe_os_error(error: OSError, what: str) -> FilesError:
    """FilesError for an OSError, with a hint for the usual causes."""
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
