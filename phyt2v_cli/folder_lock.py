"""One process for each folder of results: the lock, and who holds it. Knows no record."""

import json
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from phyt2v_cli.atomic import describe_os_error, replace_file
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.plain_files import read_plain_file

LOCK_NAME = ".phyt2v.lock"
"""Stays behind when the lock is released, and so marks a folder as a run directory."""
_OWNER_NAME = ".phyt2v.owner"
_MAX_OWNER_BYTES = 4096


def lock_folder(path: Path, lock_name: str = LOCK_NAME) -> FileLock:
    """Create the folder where it is missing, and return its lock, held; a killed process holds none.

    With the default `lock_name` it becomes a run directory. Raises RunDirError, naming pid and host, where
    another process holds it; FilesError where the folder cannot be made or written.
    """
    lock = FileLock(path / lock_name, blocking=False, thread_local=False)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        with replace_file(path / _OWNER_NAME) as temporary:
            temporary.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    except Timeout as error:  # an OSError too
        raise RunDirError(
            f"{path} is in use by {_describe_owner(path)}; wait for it, or choose another folder with --out"
        ) from error
    except OSError as error:
        lock.release()
        raise describe_os_error(error, f"the folder {path} cannot be used") from error
    except BaseException:
        lock.release()
        raise
    return lock


def _describe_owner(path: Path) -> str:
    try:
        owner = json.loads(read_plain_file(path / _OWNER_NAME, _MAX_OWNER_BYTES))
        return f"process {int(owner['pid'])} on {owner['host']}"
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "another process"
