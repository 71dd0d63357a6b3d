"""What a folder already holds of a wanted run, and what of it stands in the way, found by reading alone.

So a dry run and a whole prompt set can be told what the run itself would be told. It makes, mends and locks
nothing; `run_dir.py` does.
"""

from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.folder_lock import check_folder, check_lock
from phyt2v_cli.heard_judges import heard_judges
from phyt2v_cli.identity import list_differences, run_key
from phyt2v_cli.named_paths import refusals_as
from phyt2v_cli.records import RunRecord
from phyt2v_cli.run_reader import is_run_dir, read_record, read_videos
from phyt2v_cli.settings import Config


@dataclass(frozen=True)
class FoundRun:
    """What was found; nothing at all where the folder is new."""

    record: RunRecord | None = None
    """Of the run that goes on, or stands in the way."""
    obstacle: str | None = None
    """Why the wanted run cannot go on here."""
    differences: tuple[str, ...] = ()
    """``key: there -> here`` lines, where these are the obstacle."""
    is_broken: bool = False
    """There is a run.json that cannot be understood."""
    notices: tuple[str, ...] = ()

    @property
    def must_make_way(self) -> bool:
        """Whether --force moves it aside: a run that goes on is left where it is."""
        return self.obstacle is not None or self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether the wanted run is here and says that it is complete; its videos were not looked at."""
        return self.obstacle is None and self.record is not None and self.record.status == "complete"

    def check(self, *, force: bool = False) -> None:
        """Raise RunDirError where the wanted run cannot go on here, unless with `force` it makes room."""
        if self.obstacle is not None and not force:
            raise RunDirError(f"{self.obstacle}\n{ways_out('run')}")


def ways_out(what: str) -> str:
    """Return what to do about a folder that holds something else."""
    return f"Choose another folder with --out, or move the old {what} aside with --force."


def check_run_folder(path: Path) -> None:
    """Raise RunDirError where `path` is there and is neither empty nor a run directory.

    Raises FilesError where that cannot be told.
    """
    with refusals_as(FilesError, path, prefix="the run directory "):
        check_folder(path)
        if path.exists() and not is_run_dir(path):
            raise RunDirError(f"{path} is not empty and holds no run; choose another folder with --out")


def look_into(path: Path, prompt: str, config: Config) -> FoundRun:
    """Return what `path` holds of the wanted run, for a process that does not hold its lock.

    Raises RunDirError and FilesError as `RunDir.open` does, but for an obstacle in what was found.
    """
    check_run_folder(path)
    if not path.exists():
        return FoundRun()
    check_lock(path)
    return find_run(path, prompt, config)


def find_run(path: Path, prompt: str, config: Config) -> FoundRun:
    """Return what the run directory `path` holds of the wanted run."""
    try:
        record = read_record(path / "run.json", RunRecord)
    except RunDirError as error:  # a newer schema
        return FoundRun(obstacle=str(error))
    except ValueError:
        return FoundRun(obstacle=_foreign_rounds(path, run_key(prompt, config)), is_broken=True)
    if record is None:
        return FoundRun(obstacle=_foreign_rounds(path, run_key(prompt, config)))
    differences = list_differences(prompt, config, record.prompt, record.config)
    if not differences:
        return FoundRun(record)
    if record.analysis is None and not any(path.glob("round*.json")):
        return FoundRun()  # nothing came of that run
    heard = heard_judges(record, read_videos(path)[0])
    if held := list_differences(prompt, config, record.prompt, record.config, heard):
        return FoundRun(record, "\n  ".join([f"{path} holds another run:", *held]), tuple(held))
    notice = f"going on with another judge, for nothing was kept of {', '.join(differences)}"
    return FoundRun(record, notices=(notice,))


def _foreign_rounds(path: Path, key: str) -> str | None:
    for video in read_videos(path)[0]:
        if video.round is not None and video.run_key != key:
            return f"{path} holds rounds of another prompt or config (round{video.round}.json)"
    return None
