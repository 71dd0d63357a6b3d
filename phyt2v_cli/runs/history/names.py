"""Runs by name: a name, or the beginning of one, in the usual folders stands for its path. Writes nothing."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from phyt2v_cli.errors import RunDirError

RUNS, SETS = Path("runs"), Path("batches")
"""Usual folders: of runs, and of prompt sets with theirs."""
FOLDERS: Sequence[Path] = (RUNS, SETS)
_MAX_SHOWN = 10


def resolve(name: Path, folders: Sequence[Path], is_wanted: Callable[[Path], bool]) -> Path:
    """Path of the one in `folders` that `is_wanted` and has this name, or else a name that begins so.

    A path that is there wins over a name. If nothing is found, `name` itself is returned, so that whoever
    reads it says what is wrong. Raises RunDirError if several have a name that begins so, and lists them.
    """
    text = str(name)
    if os.path.lexists(name) or name.is_absolute() or ".." in name.parts or not name.parts:
        return name
    found = [folder / name for folder in folders if is_wanted(folder / name)]
    if not found and len(name.parts) == 1:
        begun = (path for folder in folders for path in _sorted(folder) if path.name.startswith(text))
        found = [path for path in begun if is_wanted(path)]
    if len(found) > 1:
        more = f"\n  and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
        listed = "\n  ".join(map(str, found[:_MAX_SHOWN]))
        raise RunDirError(
            f"{text} may be any of {len(found)}:\n  {listed}{more}", "Give more of the name, or the path."
        )
    return found[0] if found else name


def run_by_name(name: Path) -> Path:
    """Path of a run by its path, or by its name or the beginning of it in the usual folders, as `resolve`."""
    return resolve(name, FOLDERS, is_run)


def is_run(path: Path) -> bool:
    """Check if a folder has the record of a run; raises nothing."""
    return os.path.isfile(path / "run.json")  # noqa: PTH113  never raises


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # there is none yet
        return []
