"""Jobs of a prompt set: one run for each prompt, side by side, with roles that are made once for all of them.

Each prompt has its own run directory, so finished work is never repeated. This file only decides what comes
next, and what a failure means for the rest. Knows no backend and no terminal.
"""

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import (
    ConfigError,
    FilesError,
    ModelLoadError,
    Phyt2vError,
    RunDirError,
    RunInterruptedError,
    failed_import_of,
    message_of,
    shortage_of,
)
from phyt2v_cli.events import Emit
from phyt2v_cli.files.atomic import describe_os_error
from phyt2v_cli.files.lock import check_folder, check_lock, lock_folder
from phyt2v_cli.report import contact_sheet
from phyt2v_cli.roles import Cancelled
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.identity import run_key, slugify
from phyt2v_cli.runs.opening import FoundRun, look_into, ways_out
from phyt2v_cli.runs.outcome.result import RunResult
from phyt2v_cli.sets.overlap import Pace, side_by_side
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.shard import Shard

_LOCK_NAME = ".phyt2v-batch{shard}.lock"


@dataclass(frozen=True, slots=True)
class Job:
    """Job: one entry of a set, with its run directory and config."""

    number: int
    """Position in the set, from 1."""
    entry: PromptEntry
    path: Path
    config: Config


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job: a result, or an error as text. An exception would keep a model's tensors alive."""

    job: Job
    result: RunResult | None = None
    error: str = ""
    hint: str = ""
    """Hint of the error, if it is a Phyt2vError."""
    trace: str = ""

    def without_rounds(self) -> "Outcome":
        """Outcome with what a summary shows of it; a large set has many."""
        result = self.result and replace(self.result, rounds=(), control=None, controls={}, candidates=())
        return replace(self, result=result, trace="")


def default_batch_dir(source: str, config: Config) -> Path:
    """Default folder of a set: ``batches/<name>-<8 hex digits>``, with digits from the config alone.

    So a set that grows keeps its runs. They are distinguished inside the folder, by the content of each
    entry.
    """
    name = "stdin" if source == "-" else Path(source).stem
    return Path("batches") / f"{slugify(name)}-{run_key('', config)[:8]}"


def make_jobs(
    entries: Sequence[PromptEntry],
    config: Config,
    batch_dir: Path,
    pictures: Mapping[Path, str] = MappingProxyType({}),
) -> list[Job]:
    """Make the job of each entry. An entry with its own seed or picture gets a config with that.

    `pictures` has the checksums of those that can be used. An entry whose picture is not among them keeps
    that of `config`, and must not be run.
    """
    configs: dict[tuple[int | None, Path | None], Config] = {}

    def config_of(entry: PromptEntry) -> Config:
        key = (entry.seed, entry.image)
        if key not in configs:
            configs[key] = _with_seed(config, entry.seed)
            if entry.image is not None and entry.image in pictures:
                configs[key] = with_picture(configs[key], entry.image, pictures[entry.image])
        return configs[key]

    return [
        Job(number, entry, batch_dir / entry.folder, config_of(entry))
        for number, entry in enumerate(entries, start=1)
    ]


def with_picture(config: Config, path: Path, sha256: str) -> Config:
    """Config whose videos begin with a picture; its path is made absolute, as a run may resume elsewhere."""
    update = {"image": str(path.absolute()), "source_sha256": sha256}
    return config.model_copy(update={"generator": config.generator.model_copy(update=update)})


def check_batch_dir(path: Path, shard: Shard | None = None) -> None:
    """Check that `path` can be the folder of a set and is not locked; each shard has a lock of its own.

    Raises RunDirError if not, and FilesError if that cannot be determined.
    """
    try:
        check_folder(path)
        if (path / "run.json").exists():
            raise RunDirError(f"{path} holds the run of one prompt", "Choose another folder with `out`.")
    except OSError as error:
        raise describe_os_error(error, f"the folder {path} cannot be used") from error
    check_lock(path, _lock_name(shard))


def look_into_all(
    jobs: Sequence[Job], batch_dir: Path, *, force: bool
) -> tuple[dict[int, FoundRun], dict[int, FilesError]]:
    """Look for the runs of all jobs: what was found, and what prevents a job, both by the job's number.

    If some runs were made with other settings, raises RunDirError once for the whole set, unless `force`
    moves those aside.
    """
    found: dict[int, FoundRun] = {}
    refused: dict[int, FilesError] = {}
    for job in jobs:
        try:
            found[job.number] = look_into(job.path, job.entry.prompt, job.config)
            found[job.number].check(force=force)
        except FilesError as error:
            refused[job.number] = error
    others = [run.differences for run in found.values() if run.differences]
    if others and not force:
        title = f"{batch_dir} holds runs with other settings, of {len(others)} of the {len(jobs)} prompts:"
        lines = dict.fromkeys(line for differences in others for line in differences)
        raise RunDirError("\n  ".join([title, *lines]), ways_out("runs"))
    return found, refused


@contextmanager
def lock_batch_dir(batch_dir: Path, shard: Shard | None = None) -> Iterator[None]:
    """Create the folder of a set, and lock it against other processes inside the block."""
    check_batch_dir(batch_dir, shard)
    lock = lock_folder(batch_dir, _lock_name(shard))
    try:
        yield
    finally:
        lock.release()


def run_jobs(
    jobs: Sequence[Job],
    *,
    refine: Callable[[RunDir, Emit, Cancelled], RunResult],
    open_run: Callable[[Job], RunDir],
    watch: Callable[[Job], AbstractContextManager[Emit]],
    cancelled: Cancelled,
    pace: Pace,
    complete: Set[int] = frozenset(),
    fail_fast: bool = False,
) -> Iterator[Outcome]:
    """Run the jobs side by side, begun in order, and yield the outcome of each as it ends.

    Those with a number in `complete` need no generator, and are looked through beside the others. `refine`
    does what is left of a run. `watch` is entered when a job begins; its `emit` gets the events of the loop.
    All three are called in the job's own thread. A failure ends only its own run; with `fail_fast` the others
    that are open are stopped, and those that still end have their outcome too. Raises RunInterruptedError
    once `cancelled()` is true, and ModelLoadError or ConfigError, since every other prompt would fail in the
    same way; all after the outcomes of what has ended meanwhile.
    """

    def work(job: Job, is_cancelled: Cancelled) -> Outcome:
        if is_cancelled():
            raise RunInterruptedError("The set was stopped.", "The same call resumes it.")
        try:
            with watch(job) as emit, open_run(job) as run:
                return _complete(job, run, refine, emit, is_cancelled)
        except (RunInterruptedError, ModelLoadError, ConfigError):
            raise
        except Exception as error:
            if is_cancelled():  # abandoned work may fail with any exception
                raise
            if broken := failed_import_of(error):
                raise broken from error
            outcome = _failure(job, shortage_of(error) or error)
        # A failed run's tensors are kept by its traceback until they are collected.
        gc.collect()
        return outcome

    def is_last(outcome: Outcome) -> bool:
        return fail_fast and outcome.result is None

    aside = [job for job in jobs if job.number in complete]
    left = [job for job in jobs if job.number not in complete]
    if not left:  # then nothing is delayed by several at once
        left, aside = aside, []
    return side_by_side(left, work, pace=pace, cancelled=cancelled, aside=aside, is_last=is_last)


def _failure(job: Job, error: Exception) -> Outcome:
    hint = error.hint if isinstance(error, Phyt2vError) else ""
    return Outcome(job, error=message_of(error), hint=hint, trace=traceback.format_exc())


def _complete(
    job: Job,
    run: RunDir,
    refine: Callable[[RunDir, Emit, Cancelled], RunResult],
    emit: Emit,
    cancelled: Cancelled,
) -> Outcome:
    was_complete = run.record.status == "complete"
    result = refine(run, emit, cancelled)
    if not (was_complete and (run.path / contact_sheet.NAME).exists()):
        contact_sheet.draw_if_possible(run.path, emit)
    return Outcome(job, result)


def _lock_name(shard: Shard | None) -> str:
    return _LOCK_NAME.format(shard=shard.suffix if shard else "")


def _with_seed(config: Config, seed: int | None) -> Config:
    if seed is None:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
