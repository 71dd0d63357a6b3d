"""Text files that lines are appended to, one line in one write. Knows no content."""

import os
import stat
from pathlib import Path
from typing import TextIO


def open_in_run(path: Path) -> TextIO:
    """Open a file of a run directory for appending; its folder is created.

    The folder may come from somebody else, so a link or a pipe in the place of the file or of its folder is
    refused. After a line that a killed process has torn, the next one begins on a line of its own. Raises
    OSError.
    """
    path.parent.mkdir(exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(f"{path.parent.name} is a symbolic link")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path.name} is no plain file")
        if status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n":
            os.write(descriptor, b"\n")
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: PTH123
