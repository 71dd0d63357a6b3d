"""Lock of a folder of results, which one process at a time works on. Knows no record."""

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.files.atomic import describe_os_error, replace_file, sweep
from phyt2v_cli.files.untrusted import read_plain_file

LOCK_NAME = ".phyt2v.lock"
"""File of the lock. It stays after the release, and so marks a folder as a run directory."""
_MAX_OWNER_BYTES = 4096
_PATIENCE_S = 0.2
"""Seconds to wait for a lock: whoever only looks if it is held does so for far less."""


def check_folder(path: Path) -> None:
    """Raise RunDirError if `path` is a link or a file, so that it cannot be a folder of results."""
    if path.is_symlink():
        raise RunDirError(f"{path} is a symbolic link", "Name the folder itself.")
    if path.exists() and not path.is_dir():
        raise RunDirError(f"{path} is a file, not a folder", "Choose another folder with `out`.")


def check_lock(path: Path, lock_name: str = LOCK_NAME) -> None:
    """Check if a folder could be locked: raises what `lock_folder` would for an existing folder.

    Nothing is made or changed in it.
    """
    with _refusals(path, lock_name):
        if path.is_dir():
            with tempfile.TemporaryFile(dir=path):
                pass
        if is_locked(path, lock_name):
            raise _in_use(path, lock_name)


def is_locked(path: Path, lock_name: str = LOCK_NAME) -> bool:
    """Check if anybody holds the lock of a folder; raise OSError if that cannot be determined.

    It asks for a shared lock, for no longer than that takes. Others who only look get one too, and
    `lock_folder` waits longer than that.
    """
    try:
        descriptor = os.open(path / lock_name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_folder(path: Path, lock_name: str = LOCK_NAME) -> FileLock:
    """Lock a folder, which is created if it is missing, sweep it, and return the acquired lock.

    The operating system releases the lock of a killed process. With the default `lock_name` the folder
    becomes a run directory. Raises RunDirError, with pid and host, if another process holds the lock, and
    FilesError if the folder cannot be created or written.
    """
    lock = FileLock(path / lock_name, timeout=_PATIENCE_S, thread_local=False)
    try:
        with _refusals(path, lock_name):
            path.mkdir(parents=True, exist_ok=True)
            lock.acquire(poll_interval=0.01)
            sweep(path)
            with replace_file(_owner_path(path, lock_name)) as temporary:
                temporary.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    except BaseException:
        lock.release()
        raise
    return lock


@contextmanager
def _refusals(path: Path, lock_name: str) -> Iterator[None]:
    try:
        yield
    except Timeout as error:  # an OSError too
        raise _in_use(path, lock_name) from error
    except OSError as error:
        raise describe_os_error(error, f"the folder {path} cannot be used") from error


def _in_use(path: Path, lock_name: str) -> RunDirError:
    return RunDirError(
        f"{path} is in use by {_describe_owner(_owner_path(path, lock_name))}",
        "Wait until that has ended, or use another folder.",
    )


def _owner_path(path: Path, lock_name: str) -> Path:
    """Path of the file that says who holds a lock: ``.phyt2v.owner`` beside ``.phyt2v.lock``."""
    return path / f"{lock_name.removesuffix('.lock')}.owner"


def _describe_owner(path: Path) -> str:
    try:
        owner = json.loads(read_plain_file(path, _MAX_OWNER_BYTES))
        return f"process {int(owner['pid'])} on {owner['host']}"
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "another process"
