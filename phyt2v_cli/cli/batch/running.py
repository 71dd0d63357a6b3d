"""Run of a prompt set on the command line: its jobs are run, each outcome is told, and a summary ends it.

Knows jobs and the terminal; knows no option and no format of prompts.
"""

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console, signals, watch
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.journal.run import of_run
from phyt2v_cli.cli.running import host
from phyt2v_cli.cli.running.closing import draw_comparison, result_as_shown, write_page
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import FilesError, RunInterruptedError, SomePromptsFailedError
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.cli.progress.set import SetProgress
    from phyt2v_cli.events import Emit, Event
    from phyt2v_cli.roles import Cancelled
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.outcome.result import RunResult
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job, Outcome
    from phyt2v_cli.sets.prompt_set import Fault, PromptEntry
    from phyt2v_cli.sets.shard import Shard
    from phyt2v_cli.turns import Turns


def run(
    jobs: "Sequence[Job]",
    complete: Set[int],
    unusable: Collection[int],
    planned: "Sequence[PlannedRound]",
    open_run: "Callable[[Job], RunDir]",
    summary: "SummaryKeeper",
    *,
    num_open: int | None,
    fail_fast: bool,
    stream: bool,
) -> "list[Outcome]":
    """Run the jobs and report each as it ends; returns the outcomes of those that were begun.

    For jobs that are `complete`, or `unusable` since `open_run` raises what is wrong with them, no model is
    loaded. `num_open` runs are open at once; None: as many as keep the generator busy. The `summary` is kept
    current, also if the set is stopped.
    """
    from phyt2v_cli.api import Studio
    from phyt2v_cli.checks.executor import choose_executor, in_threads
    from phyt2v_cli.sets.jobs import run_jobs
    from phyt2v_cli.sets.overlap import Pace

    outcomes: list[Outcome] = []
    settings = jobs[0].config  # only seeds may differ, and no role knows them
    num_left = len(jobs) - len(complete) - len(unusable)
    stop = signals.stop_request(
        "The set was stopped.", "The same command resumes it and leaves complete runs alone."
    )
    try:
        with stop, ExitStack() as stack:  # from here on, since the imports take a while too
            host.prepare_for_models()
            watch.show_plan(settings, planned)
            console.say(f"That is the plan of each prompt. {count_jobs(jobs, complete)}")
            steps = sum(entry.total_steps for entry in planned) * num_left
            executed, note = choose_executor(settings) if num_left else (in_threads(settings), "")
            if note:
                console.warn(note)
            if executed.execution.executor == "ray":
                stack.enter_context(console.stdout_kept_for_data())
            # Not closed: its memory is freed with the process, and closing it would delay the exit.
            studio = Studio(config=executed, on_notice=console.warn, prefetches_control=num_open == 1)
            if steps:
                studio.prefetch(steps)

            def refine(run: "RunDir", emit: "Emit", cancelled: "Cancelled") -> "RunResult":
                with of_run(run, is_of_set=True) as told:
                    try:
                        result = studio.complete(
                            run, emit=emit, cancelled=cancelled, num_planned_steps=steps, journal=told
                        )
                        draw_comparison(run)
                    finally:
                        write_page(run)
                    told.data = result_as_shown(run, result)
                return result

            progress = stack.enter_context(_progress(jobs, complete, planned, studio.turns))
            for outcome in run_jobs(
                jobs,
                refine=refine,
                open_run=open_run,
                watch=partial(_watch, progress=progress, planned=planned, complete=complete),
                cancelled=stop.cancelled,
                pace=Pace(studio.turns, num_open=num_open),
                complete=complete,
                fail_fast=fail_fast,
            ):
                outcomes.append(outcome.without_rounds())
                if outcome.job.number not in complete:
                    progress.end(outcome)
                _tell(outcome, stream=stream)
                summary.keep(outcome)
    except RunInterruptedError:
        done = complete | {outcome.job.number for outcome in outcomes if outcome.result is not None}
        console.say(f"{len(done)} of {count(len(jobs), 'prompt')} are complete.")
        raise
    finally:
        if outcomes:
            summary.write()
    return outcomes


class SummaryKeeper:
    """Writer of a set's summary as its prompts finish, and of its page, unless it is one of several shards.

    What cannot be written is a note, told once.
    """

    def __init__(self, batch_dir: Path, entries: "Sequence[PromptEntry]", shard: "Shard | None") -> None:
        """Begin with the runs that are in the set's folder."""
        from phyt2v_cli.sets.summary.writer import SummaryWriter

        self._batch_dir = batch_dir
        self._has_page = shard is None
        self._writer = SummaryWriter(batch_dir, entries, shard)
        self._has_told = False
        self.in_words = ""
        """What the figures say about refinement, once they are written; empty without controls."""

    def keep(self, outcome: "Outcome") -> None:
        """Count an outcome; the files are written now and then."""
        self._try(lambda: self._writer.add(outcome.job.entry, outcome.error))

    def write(self) -> None:
        """Write the files now, and say where the page is."""

        def write() -> None:
            from phyt2v_cli.sets.summary.report import write_pages

            if self._has_page:
                report = write_pages(self._batch_dir, self._writer)
                self.in_words = report.in_words
                console.say(f"Report: {report.page}")
            else:
                self.in_words = str(self._writer.write()["in_words"])

        self._try(write)

    def _try(self, work: "Callable[[], object]") -> None:
        try:
            work()
        except FilesError as error:  # the videos are worth more than their summary
            if not self._has_told:
                console.warn(f"no summary: {error.message}", in_flags(error.hint))
            self._has_told = True


def _progress(
    jobs: "Sequence[Job]", complete: Set[int], planned: "Sequence[PlannedRound]", turns: "Turns"
) -> "SetProgress":
    from phyt2v_cli.cli.progress.set import SetProgress
    from phyt2v_cli.schedule import plan_controls
    from phyt2v_cli.timing import speeds
    from phyt2v_cli.timing.set_meter import SetMeter

    config = jobs[0].config
    meter = SetMeter(
        planned,
        len(jobs) - len(complete),
        controls=plan_controls(config.refinement, planned),
        expected=speeds.find(config.generator),
        num_places=lambda: turns.num_places,
    )
    return SetProgress(len(jobs), meter, turns.busy_share, num_done=len(complete))


@contextmanager
def _watch(
    job: "Job", *, progress: "SetProgress", planned: "Sequence[PlannedRound]", complete: Set[int]
) -> "Iterator[Emit]":
    """Show the events of one job; of a complete run only what is still done in it."""
    from phyt2v_cli.events import Notice

    if job.number in complete:

        def tell_notices(event: "Event") -> None:
            if isinstance(event, Notice):
                progress.hear(job.number, event)

        yield tell_notices
        return
    meter = watch.meter(job.config, planned)
    progress.begin(job.number)

    def emit(event: "Event") -> None:
        meter(event)
        progress.hear(job.number, event)

    yield emit


def sum_up(
    batch_dir: Path,
    jobs: "Sequence[Job]",
    outcomes: "Sequence[Outcome]",
    faults: "Sequence[Fault]" = (),
    *,
    as_json: bool,
) -> None:
    """Show the result of each job, and the `faults`; raise SomePromptsFailedError if a job failed."""
    from phyt2v_cli.cli.views.set import summary_as_json, summary_table
    from phyt2v_cli.cli.views.set_plan import faults_as_json

    if jobs:
        console.say(summary_table(jobs, outcomes, console.stderr().width))
    summary = summary_as_json(batch_dir, jobs, outcomes) | ({"status": "failed"} if faults else {})
    summary |= {"faults": faults_as_json(faults)}
    journal.set_data(summary)
    if as_json:
        console.json_object(summary)
    if failed := sum(outcome.result is None for outcome in outcomes):
        not_done = len(jobs) - len(outcomes)
        others = f", {not_done} were not done" if not_done else ""
        raise SomePromptsFailedError(
            f"{failed} of {count(len(jobs), 'prompt')} failed{others}",
            "The same command tries again what is not complete.",
        )


def _tell(outcome: "Outcome", *, stream: bool) -> None:
    if outcome.result is None:
        if console.is_verbose():
            console.say(outcome.trace.rstrip())
        tell_error(outcome.job, outcome.error, in_flags(outcome.hint))
    elif stream:
        journal.result(str(outcome.result.video))


def tell_error(job: "Job", error: str, hint: str) -> None:
    """Print the error of a job, with its line in the set."""
    console.error(f"prompt {job.number} (line {job.entry.line}): {error}", hint)


def count_jobs(jobs: "Sequence[Job]", complete: Set[int]) -> str:
    """Number of jobs, and of those that are complete, in words."""
    prompts = count(len(jobs), "prompt")
    return f"{prompts}, {len(complete)} complete already" if complete else prompts
