"""Files and folders that are in the way are renamed, never deleted. Knows no format."""

import os
from pathlib import Path

from phyt2v_cli.files.atomic import describe_os_error, sync_folder


def first_free(path: Path, what: str) -> Path:
    """First free name of the form ``NAME.what-N`` beside a path."""
    number = 1
    while os.path.lexists(candidate := path.with_name(f"{path.name}.{what}-{number}")):
        number += 1
    return candidate


def move_aside(path: Path) -> Path:
    """Rename a path to ``NAME.old-N``, and return the new one; raise FilesError if that is refused."""
    here = path.absolute()
    aside = first_free(here, "old")
    try:
        here.rename(aside)
        sync_folder(here.parent)
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be moved aside") from error
    return path.parent / aside.name
