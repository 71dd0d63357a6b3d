"""The folder of this user's cache: the one place that says where it is. Knows nothing that is kept there."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def find_cache_dir() -> Path | None:
    """Folder for what may be lost, whether or not it exists; None for a user who has no home."""
    try:
        path = user_cache_path("phyt2v", appauthor=False)
    except RuntimeError:  # an unknown user, as in a container that is given any user id
        return None
    return path if path.is_absolute() else None  # an older platformdirs gives "~" itself as such a home


def make_cache_dir() -> Path | None:
    """The same folder, made if it is missing; None if this process cannot write into it."""
    path = find_cache_dir()
    if path is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None
