"""Dry run of `phyt2v batch`: what would be done, and what cannot be. Knows no option and no format."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console, set_run, watch
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import Phyt2vError, SomePromptsFailedError
from phyt2v_cli.quantities import count, duration, mebibytes

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job
    from phyt2v_cli.sets.prompt_set import PromptSet


def tell_faults(prompt_set: "PromptSet") -> None:
    """Print the entries that cannot be used; of many, the first ones, unless --verbose."""
    from phyt2v_cli.sets.prompt_set import MAX_SHOWN_FAULTS

    if prompt_set.faults:
        told = prompt_set.tell_faults(None if console.is_verbose() else MAX_SHOWN_FAULTS)
        console.error("\n".join([f"{prompt_set.name} has entries that cannot be used:", *told]))


def some_are_faulty(prompt_set: "PromptSet") -> SomePromptsFailedError:
    """Make the error for a set with entries that cannot be used."""
    number = count(len(prompt_set.faults), "entry", "entries")
    return SomePromptsFailedError(f"{number} of {prompt_set.name} cannot be used", "Correct the set.")


def show(
    prompt_set: "PromptSet",
    jobs: "Sequence[Job]",
    complete: Set[int],
    refused: Mapping[int, Phyt2vError],
    planned: "Sequence[PlannedRound]",
    batch_dir: Path,
    needed: int,
    *,
    as_json: bool,
) -> None:
    """Show the plan and what would become of each job; SomePromptsFailedError if not all can be done."""
    from phyt2v_cli.cli.views import set_plan

    seconds = None
    if jobs:
        config = jobs[0].config
        watch.show_plan(config, planned)
        seconds = _expected_seconds(config, planned, len(jobs) - len(complete) - len(refused))
    time = "" if seconds is None else f" and about {duration(seconds)} of rendering"
    console.say(
        f"{set_run.count_jobs(jobs, complete)}; would be rendered into {batch_dir}, taking at most about "
        f"{mebibytes(needed)} more{time}:"
    )
    statuses = [
        "complete" if job.number in complete else "refused" if job.number in refused else "to do"
        for job in jobs
    ]
    whole = console.is_verbose()
    console.say("\n".join(set_plan.listed(jobs, statuses, whole=whole)))
    for number, (job_number, error) in enumerate(refused.items(), start=1):
        if number > set_plan.MAX_LISTED and not whole:
            console.say(f"and {len(refused) - set_plan.MAX_LISTED:,} more are refused")
            break
        set_run.tell_error(jobs[job_number - 1], *worded(error))
    if as_json:
        plan = set_plan.plan_as_json(
            batch_dir, planned, jobs, statuses, refused, needed_bytes=needed, expected_seconds=seconds
        )
        console.json_object(plan | {"faults": set_plan.faults_as_json(prompt_set.faults)})
    if refused:
        raise SomePromptsFailedError(f"{len(refused)} of {count(len(jobs), 'prompt')} would fail")
    if prompt_set.faults:
        raise some_are_faulty(prompt_set)


def _expected_seconds(config: "Config", planned: "Sequence[PlannedRound]", num_runs: int) -> float | None:
    """Seconds of rendering of so many whole runs; None if this machine has not measured the model yet."""
    from phyt2v_cli.schedule import control_steps
    from phyt2v_cli.timing import speeds

    speed = speeds.find(config.generator)
    return None if speed is None else num_runs * speed.total_s(planned, control_steps(config, planned))
