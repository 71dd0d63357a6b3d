"""Lookup of the run that a command means: its folder, what the folder holds, and what prevents the run.

Read-only, so that a dry run and a whole prompt set report the same as the run itself. A judge with a wrong
name fails when its turn comes, after a video was paid for. Until something of a judge is recorded, another
judge in its place changes nothing that is there, and the run is the same. This file makes, repairs and locks
nothing; `directory.py` does.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.files.lock import check_folder, check_lock
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.runs.attempts import MAX_ATTEMPTS, AttemptRecord, installed_versions, utc_now
from phyt2v_cli.runs.identity import heard_judges, list_differences, run_key, slugify
from phyt2v_cli.runs.reader import ShownRun, has_all, is_run_dir, read_record, read_run, read_videos
from phyt2v_cli.runs.records import RunRecord
from phyt2v_cli.video_id import RoundId


@dataclass(frozen=True)
class FoundRun:
    """What a folder holds of the wanted run; all defaults for a new folder."""

    record: RunRecord | None = None
    """Record of the run that resumes, or that is in the way."""
    obstacle: str | None = None
    """Why the wanted run cannot resume here."""
    has_all: bool = False
    """Whether everything that is wanted is there already; the content of its videos was not looked at."""
    differences: tuple[str, ...] = ()
    """``key: there -> here`` lines, if these are the obstacle."""
    is_broken: bool = False
    """Whether run.json is there and cannot be understood."""
    notices: tuple[str, ...] = ()

    @property
    def must_make_way(self) -> bool:
        """Whether `force` moves it aside. A run that resumes is left in place."""
        is_complete = self.record is not None and self.record.status == "complete"
        return self.obstacle is not None or is_complete

    @property
    def is_complete(self) -> bool:
        """Whether the wanted run is here and nothing is left to do."""
        return self.obstacle is None and self.has_all

    def check(self, *, force: bool = False) -> None:
        """Raise RunDirError if the wanted run cannot resume here, unless `force` moves the obstacle aside."""
        if self.obstacle is not None and not force:
            raise RunDirError(self.obstacle, ways_out("run"))


def ways_out(what: str) -> str:
    """Hint for a folder that holds something else."""
    return f"Choose another folder with `out`, or move the old {what} aside with `force`."


def check_run_folder(path: Path) -> None:
    """Check that `path` is new, empty or a run directory; raise RunDirError if not.

    Raises FilesError if that cannot be determined.
    """
    with refusals_as(FilesError, path, prefix="the run directory "):
        check_folder(path)
        if path.exists() and not is_run_dir(path):
            raise RunDirError(f"{path} is not empty and holds no run", "Choose another folder with `out`.")


def look_into(path: Path, prompt: str, config: Config) -> FoundRun:
    """Look for the wanted run in `path`, without holding its lock.

    Raises RunDirError and FilesError as `RunDir.open` does, except for an obstacle in what was found.
    """
    check_run_folder(path)
    if not path.exists():
        return FoundRun()
    check_lock(path)
    return find_run(path, prompt, config)


def find_run(path: Path, prompt: str, config: Config) -> FoundRun:
    """Find the wanted run in the run directory `path`, and what prevents it."""
    try:
        record = read_record(path / "run.json", RunRecord)
    except RunDirError as error:  # a newer schema
        return FoundRun(obstacle=error.message)
    except ValueError:
        return FoundRun(obstacle=_foreign_rounds(path, run_key(prompt, config)), is_broken=True)
    if record is None:
        return FoundRun(obstacle=_foreign_rounds(path, run_key(prompt, config)))
    differences = list_differences(prompt, config, record.prompt, record.config)
    if not differences:
        return FoundRun(record, has_all=has_all(path, record, config.refinement))
    if record.analysis is None and not any(path.glob("round*.json")):
        return FoundRun()  # that run has produced nothing
    heard = heard_judges(record, read_videos(path)[0])
    if held := list_differences(prompt, config, record.prompt, record.config, heard):
        obstacle = "\n  ".join([f"{path} holds another run:", *held])
        return FoundRun(record, obstacle, differences=tuple(held))
    notice = f"resuming with another judge, for nothing was kept of {', '.join(differences)}"
    return FoundRun(record, notices=(notice,))


def _foreign_rounds(path: Path, key: str) -> str | None:
    for video in read_videos(path)[0]:
        if isinstance(video.id, RoundId) and video.run_key != key:
            return f"{path} holds rounds of another prompt or config ({video.id.record_name})"
    return None


def find_corrected_run(candidates: Sequence[Path], prompt: str, config: Config) -> Path | None:
    """Find the run that a corrected command means, whose folder is named after the wrong judge.

    It is a run that has already resumed with `config`. Otherwise it is one that failed before a judge that
    `config` replaces has given anything, and of several the one with the most videos. None if there is none.
    """
    correctable: list[ShownRun] = []
    for path in candidates:
        try:
            run = read_run(path)
        except FilesError:  # unreadable, so not the run that is meant
            continue
        there = run.record.prompt, run.record.config
        if not list_differences(prompt, config, *there):
            return path
        heard = heard_judges(run.record, run.videos)
        if run.record.status == "failed" and not list_differences(prompt, config, *there, heard):
            correctable.append(run)
    return max(correctable, key=lambda run: len(run.videos)).path if correctable else None


def default_run_dir(prompt: str, config: Config) -> Path:
    """Default run directory ``runs/<slug>-<8 hex digits>``: the same prompt and pixels mean the same run.

    If it does not exist, but a failed run does that differs only in a judge that has given nothing, the
    command is the correction of that run, and gets its folder.
    """
    runs_dir, slug = Path("runs"), slugify(prompt)
    own = runs_dir / f"{slug}-{run_key(prompt, config)[:8]}"
    if os.path.lexists(own):
        return own
    return find_corrected_run(sorted(runs_dir.glob(f"{slug}-????????")), prompt, config) or own


def check_plan(path: Path, record: RunRecord, config: Config) -> None:
    """Raise RunDirError if the plan of the run at `path` has not the rounds and videos of its config.

    A plan that was changed has others.
    """
    if record.replanned:
        return
    planned, wanted = len(record.plan), config.refinement.rounds + 1
    search = config.search
    numbers = [*[search.candidates] * (wanted - 1), search.finals]
    if planned != wanted or [entry.candidates for entry in record.plan] != numbers:
        raise RunDirError(
            f"{path}: run.json is damaged: its plan has {planned} rounds, and its config {wanted}"
            if planned != wanted
            else f"{path}: run.json is damaged: its plan has other numbers of candidates than its config",
            "Begin it again with this folder as `out`, and what remains is used.",
        )


def begin_attempt(path: Path, record: RunRecord, config: Config) -> None:
    """Update the record of a run that resumes: its status, and the versions that it continues with.

    A run that is recorded as complete and lacks something, such as a control that was not wanted before, is
    an interrupted one. A complete one does not change.
    """
    if has_all(path, record, config.refinement):
        return
    if record.status == "complete":
        record.status = "interrupted"
    versions = installed_versions()
    if versions != [record.versions, *record.later_versions][-1]:
        record.later_versions = [*record.later_versions, versions][-MAX_ATTEMPTS:]


def start_attempt(record: RunRecord) -> None:
    """Add an attempt that starts now; the oldest of too many is dropped."""
    record.attempts = [*record.attempts, AttemptRecord(started=utc_now())][-MAX_ATTEMPTS:]


def finish_attempt(record: RunRecord) -> None:
    """Set the end of the latest attempt, unless it has one: a call with nothing to do starts none."""
    if record.attempts and record.attempts[-1].finished is None:
        latest = record.attempts[-1].model_copy(update={"finished": utc_now()})
        record.attempts = [*record.attempts[:-1], latest]
