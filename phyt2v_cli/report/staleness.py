"""Whether a file made from a run is younger than what it was made from. Knows files only; opens none."""

import stat
from collections.abc import Iterable
from pathlib import Path


def is_current(path: Path, videos: Iterable[Path] = ()) -> bool:
    """Check if a file in a run's folder is there, and younger than `videos` and than all records of the run.

    Raises nothing: what cannot be looked at is not current.
    """
    try:
        found = path.lstat()
        sources = (*videos, *path.parent.glob("*.json"))
        return stat.S_ISREG(found.st_mode) and all(
            source.stat().st_mtime_ns < found.st_mtime_ns for source in sources
        )
    except OSError:
        return False
