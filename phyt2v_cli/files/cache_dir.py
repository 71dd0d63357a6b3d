"""Cache folder of this user. Only this file knows its path. Knows nothing of its content."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def find_cache_dir() -> Path | None:
    """Path of the cache folder, whether or not it exists; None for a user without a home."""
    try:
        path = user_cache_path("phyt2v", appauthor=False)
    except RuntimeError:  # an unknown user, as in a container that is given any user id
        return None
    return path if path.is_absolute() else None  # an older platformdirs returns "~" for a missing home


def make_cache_dir() -> Path | None:
    """Create the cache folder if it is missing; None if this process cannot write into it."""
    path = find_cache_dir()
    if path is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None
