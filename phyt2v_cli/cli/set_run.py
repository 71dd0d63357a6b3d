"""Run of a prompt set on the command line: its jobs are run, each outcome is told, and a summary ends it.

Knows jobs and the terminal; knows no option and no format of prompts.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console, host, signals, watch
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import RunInterruptedError, SomePromptsFailedError
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.events import Emit, Event
    from phyt2v_cli.roles import Cancelled
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.result import RunResult
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job, Outcome
    from phyt2v_cli.sets.prompt_set import Fault


def run(
    jobs: "Sequence[Job]",
    complete: Set[int],
    planned: "Sequence[PlannedRound]",
    open_run: "Callable[[Job], RunDir]",
    *,
    fail_fast: bool,
    stream: bool,
) -> "list[Outcome]":
    """Run the jobs and report each as it ends; returns the outcomes of those that were begun."""
    from phyt2v_cli.api import Studio
    from phyt2v_cli.sets.jobs import run_jobs

    outcomes: list[Outcome] = []
    settings = jobs[0].config  # only seeds may differ, and no role knows them
    stop = signals.stop_request(
        "The set was stopped.", "The same command goes on where it was and leaves complete runs alone."
    )
    try:
        with stop:  # from here on, since the imports take a while too
            host.prepare_for_models()
            watch.show_plan(settings, planned)
            console.say(f"That is the plan of each prompt. {count_jobs(jobs, complete)}")
            steps = sum(entry.steps for entry in planned) * (len(jobs) - len(complete))
            # Not closed: its memory is freed with the process, and closing it would delay the exit.
            studio = Studio(config=settings)
            if steps:
                studio.prefetch(steps)

            def refine(run: "RunDir", emit: "Emit", cancelled: "Cancelled") -> "RunResult":
                return studio.complete(run, emit=emit, cancelled=cancelled, num_planned_steps=steps)

            watch_job = partial(_watch, planned=planned, num_jobs=len(jobs), complete=complete)
            for outcome in run_jobs(
                jobs, refine=refine, open_run=open_run, watch=watch_job, cancelled=stop.cancelled
            ):
                outcomes.append(outcome)
                _tell(outcome, stream=stream)
                if fail_fast and outcome.result is None:
                    break
    except RunInterruptedError:
        done = complete | {outcome.job.number for outcome in outcomes if outcome.result is not None}
        console.say(f"{len(done)} of {count(len(jobs), 'prompt')} are complete.")
        raise
    return outcomes


@contextmanager
def _watch(
    job: "Job", *, planned: "Sequence[PlannedRound]", num_jobs: int, complete: Set[int]
) -> "Iterator[Emit]":
    """Show heading and events of one job; of a complete run only what is still done in it."""
    from phyt2v_cli.events import AnalysisDone, RoundDone

    number = f"Prompt {job.number} of {num_jobs}"
    with watch.watching(job.config, planned, control=job.config.refinement.control) as progress:
        if job.number not in complete:
            console.say(console.one_line(f"{number}: {job.entry.prompt}", "bold"))
            console.say(f"Run directory: {job.path}")
            yield progress
            return
        console.say(console.one_line(f"{number}: complete: {job.entry.prompt}", "dim"))

        def emit(event: "Event") -> None:
            if not isinstance(event, AnalysisDone | RoundDone):
                progress(event)

        yield emit


def sum_up(
    batch_dir: Path,
    jobs: "Sequence[Job]",
    outcomes: "Sequence[Outcome]",
    faults: "Sequence[Fault]" = (),
    *,
    as_json: bool,
) -> None:
    """Show what came of each job, and the `faults`; raise SomePromptsFailedError if a job failed."""
    from phyt2v_cli.cli.views.set import summary_as_json, summary_table
    from phyt2v_cli.cli.views.set_plan import faults_as_json

    if jobs:
        console.say(summary_table(jobs, outcomes, console.stderr().width))
    if as_json:
        summary = summary_as_json(batch_dir, jobs, outcomes) | ({"status": "failed"} if faults else {})
        console.json_object(summary | {"faults": faults_as_json(faults)})
    if failed := sum(outcome.result is None for outcome in outcomes):
        not_begun = len(jobs) - len(outcomes)
        others = f", {not_begun} were not begun" if not_begun else ""
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
        console.data(str(outcome.result.video))


def tell_error(job: "Job", error: str, hint: str) -> None:
    """Print the error of a job, with its line in the set."""
    console.error(f"prompt {job.number} (line {job.entry.line}): {error}", hint)


def count_jobs(jobs: "Sequence[Job]", complete: Set[int]) -> str:
    """Number of jobs, and of those that are complete, in words."""
    prompts = count(len(jobs), "prompt")
    return f"{prompts}, {len(complete)} complete already" if complete else prompts
