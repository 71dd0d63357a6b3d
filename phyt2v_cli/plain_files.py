"""Read small files that anybody may have made: plain ones, and never more than expected. Knows no format."""

import os
import stat
from pathlib import Path


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a plain file.

    Raises ValueError where it is a folder, a pipe or a device, which could block for ever, or larger than
    `max_bytes`; OSError where the operating system refuses.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes // 1024:,} KiB")
    return content
