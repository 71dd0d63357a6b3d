"""A prompt set as runs, with doubles of the roles: what a failure means for the others."""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.errors import (
    BackendError,
    FilesError,
    ModelLoadError,
    RunDirError,
    RunInterruptedError,
    message_of,
)
from phyt2v_cli.events import Emit, RoundStarted
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import Cancelled, Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import RunResult
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.sets.jobs import (
    Job,
    Outcome,
    check_batch_dir,
    default_batch_dir,
    lock_batch_dir,
    make_jobs,
    run_jobs,
)
from phyt2v_cli.sets.overlap import Pace
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.testing.fakes import FakeGenerator, FakeRoles, FakeScorer
from phyt2v_cli.turns import Turns
from tests.fake_runs import make_config, open_run
from tests.test_turns import PATIENCE_S, wait_until


def jobs_of(root: Path, *prompts: str, seeds: tuple[int | None, ...] = ()) -> list[Job]:
    seeds = seeds or (None,) * len(prompts)
    entries = [
        PromptEntry(None, prompt, seed, number, f"run-{number}")
        for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True), start=1)
    ]
    return make_jobs(entries, make_config(rounds=1), root)


def begin(jobs: list[Job], cast: FakeRoles, **options: Any) -> Iterator[Outcome]:
    def open_job(job: Job) -> RunDir:
        return open_run(job.path, job.config, prompt=job.entry.prompt)

    @contextmanager
    def watch(_: Job) -> Iterator[Emit]:
        yield cast.events.append

    defaults: dict[str, Any] = {
        "open_run": open_job,
        "watch": watch,
        "cancelled": lambda: False,
        "pace": Pace(Turns(), num_open=1),
    }
    roles = cast.roles()
    defaults["refine"] = lambda run, emit, cancelled: refine(run, roles, emit=emit, cancelled=cancelled)
    return run_jobs(jobs, **(defaults | options))


def test_each_prompt_gets_its_run(tmp_path: Path) -> None:
    cast = FakeRoles(scorer=FakeScorer(by_video={"output2.mp4": Scores(0.9, 0.4)}))
    jobs = jobs_of(tmp_path, "a ball", "a cube", seeds=(None, 7))
    outcomes = list(begin(jobs, cast))
    assert [outcome.job for outcome in outcomes] == jobs
    for outcome in outcomes:
        assert outcome.result is not None
        assert outcome.result.video == outcome.job.path / "output2.mp4"
        assert outcome.result is not None
        assert outcome.result.scores == Scores(0.9, 0.4)
        assert (outcome.job.path / "contact.png").is_file()
    seeds = [(prompt, seed) for prompt, seed, steps in cast.generator.denoised if steps == 3]
    assert seeds == [("a ball", 0), ("a cube", 7)]
    again = FakeRoles()
    list(begin(jobs, again))
    assert not again.worked()


@pytest.mark.parametrize(
    "error", [BackendError("it broke"), FilesError("no room", "Make some."), ValueError("odd")]
)
def test_a_failure_ends_its_own_run_only(error: Exception, tmp_path: Path) -> None:
    cast = FakeRoles(scorer=FakeScorer(error=error))
    outcomes = begin(jobs_of(tmp_path, "a ball", "a cube"), cast)
    first = next(outcomes)
    assert first.result is None
    assert first.error == message_of(error)
    assert first.hint == getattr(error, "hint", "")
    assert f"{type(error).__name__}: {error}" in first.trace
    assert read_run(first.job.path).record.status == "failed"
    cast.scorer.error = None
    (second,) = outcomes
    assert second.result is not None


@pytest.mark.slow
def test_complete_runs_delay_no_other_and_still_get_what_they_lack(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, *(f"ball {n}" for n in range(9)))
    list(begin(jobs[:8], FakeRoles()))
    (jobs[7].path / "contact.png").unlink()
    cast = FakeRoles()
    roles = cast.roles()
    new_is_begun = threading.Event()

    def work(run: RunDir, emit: Emit, cancelled: Cancelled) -> RunResult:
        if run.path == jobs[8].path:
            new_is_begun.set()
        assert new_is_begun.wait(PATIENCE_S), "a complete run is waited for"
        return refine(run, roles, emit=emit, cancelled=cancelled)

    outcomes = list(begin(jobs, cast, refine=work, complete=set(range(1, 9))))
    assert sorted(one.job.number for one in outcomes) == list(range(1, 10))
    assert all(one.result for one in outcomes)
    assert (jobs[7].path / "contact.png").is_file()
    assert {prompt for prompt, _, _ in cast.generator.denoised} >= {"ball 8"}
    assert not any(f"ball {n}" == prompt for prompt, _, _ in cast.generator.denoised for n in range(8))


def test_a_failure_with_fail_fast_ends_the_others_and_what_they_still_return_counts(tmp_path: Path) -> None:
    roles = FakeRoles().roles()
    first_is_done = threading.Event()

    def work(run: RunDir, emit: Emit, cancelled: Cancelled) -> RunResult:
        if run.path.name == "run-2":
            assert first_is_done.wait(PATIENCE_S)
            raise BackendError("it broke")
        result = refine(run, roles, emit=emit, cancelled=cancelled)
        first_is_done.set()
        wait_until(cancelled)
        return result

    jobs = jobs_of(tmp_path, "a ball", "a cube", "a balloon")
    pace = Pace(Turns(), num_open=2)
    outcomes = list(begin(jobs, FakeRoles(), refine=work, pace=pace, fail_fast=True))
    assert [(one.job.number, one.error) for one in outcomes] == [(2, "it broke"), (1, "")]
    assert not jobs[2].path.exists()


@pytest.mark.parametrize("error", [ModelLoadError("no weights"), RunInterruptedError("stop")])
def test_what_no_other_prompt_can_mend_ends_the_set(error: Exception, tmp_path: Path) -> None:
    outcomes = begin(jobs_of(tmp_path, "a ball", "a cube"), FakeRoles(scorer=FakeScorer(error=error)))
    with pytest.raises(type(error)):
        next(outcomes)


def test_a_stop_comes_before_the_next_prompt(tmp_path: Path) -> None:
    stopped = False
    outcomes = begin(jobs_of(tmp_path, "a ball", "a cube"), FakeRoles(), cancelled=lambda: stopped)
    assert next(outcomes).result is not None
    stopped = True
    with pytest.raises(RunInterruptedError):
        next(outcomes)
    assert not (tmp_path / "run-2").exists()


def test_what_fails_after_a_stop_is_a_stop(tmp_path: Path) -> None:
    cast = FakeRoles(scorer=FakeScorer(error=ValueError("abandoned in the middle")))
    jobs = jobs_of(tmp_path, "a ball", "a cube")
    outcomes = begin(jobs, cast, cancelled=lambda: bool(cast.scorer.calls))
    with pytest.raises(ValueError, match="abandoned in the middle"):
        next(outcomes)
    assert list(outcomes) == []
    assert read_run(jobs[0].path).record.status == "interrupted"
    assert not jobs[1].path.exists()
    again = list(begin(jobs, FakeRoles()))
    assert [outcome.result is not None for outcome in again] == [True, True]


def test_nothing_of_a_failed_run_is_kept_in_memory(tmp_path: Path) -> None:
    class Tensor:
        def __init__(self) -> None:
            self.graph = self  # as autograd and tracebacks do: only garbage collection gets rid of it

    tensors: list[weakref.ref[Tensor]] = []

    class Generator(FakeGenerator):
        def denoise(self, *args: Any, **kwargs: Any) -> Any:
            tensor = Tensor()
            tensors.append(weakref.ref(tensor))
            if len(tensors) == 1:
                raise BackendError("out of memory") from ValueError(tensor)
            assert tensors[0]() is None
            return super().denoise(*args, **kwargs)

    outcomes = begin(jobs_of(tmp_path, "a ball", "a cube"), FakeRoles(generator=Generator()))
    assert [outcome.result is None for outcome in outcomes] == [True, False]


def test_watchers_hear_their_own_run(tmp_path: Path) -> None:
    heard: dict[int, list[str]] = {}

    @contextmanager
    def watch(job: Job) -> Iterator[Emit]:
        prompts = heard.setdefault(job.number, [])
        yield lambda event: prompts.append(event.prompt) if isinstance(event, RoundStarted) else None
        prompts.append("left")

    list(begin(jobs_of(tmp_path, "a ball", "a cube"), FakeRoles(), watch=watch))
    for number, prompt in ((1, "a ball"), (2, "a cube")):
        assert heard[number][0] == prompt
        assert heard[number][-1] == "left"


def test_the_folder_of_a_set_depends_on_its_name_and_config() -> None:
    config = make_config()
    path = default_batch_dir("/some/where/My Prompts.csv", config)
    assert path == default_batch_dir("My Prompts.txt", config)
    assert path.parent == Path("batches")
    assert path.name.startswith("my-prompts-")
    assert path != default_batch_dir("My Prompts.txt", make_config(rounds=3))
    assert default_batch_dir("-", config).name.startswith("stdin-")


def test_what_cannot_be_the_folder_of_a_set(tmp_path: Path) -> None:
    open_run(tmp_path / "run").close()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name, fault in (("run", "holds the run of one prompt"), ("file", "is a file"), ("link", "symbolic")):
        with pytest.raises(RunDirError, match=fault):
            check_batch_dir(tmp_path / name)
    with pytest.raises(FilesError, match="cannot be used"):
        check_batch_dir(tmp_path / ("a" * 300))
    with (
        lock_batch_dir(tmp_path / "set"),
        pytest.raises(RunDirError, match="in use"),
        lock_batch_dir(tmp_path / "set"),
    ):
        pass
    with pytest.raises(RunDirError, match="holds no run"):  # nor is it a run directory
        open_run(tmp_path / "set")
