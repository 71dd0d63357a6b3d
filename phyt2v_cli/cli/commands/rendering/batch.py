"""`phyt2v batch`: refine every prompt of a set in one process, which loads the models once."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import console, options, watch
from phyt2v_cli.cli.batch import options as batch_options
from phyt2v_cli.cli.batch import running
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.running import options as running_options
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import Phyt2vError, PromptError, SomePromptsFailedError
from phyt2v_cli.quantities import count, duration, mebibytes

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job, Outcome
    from phyt2v_cli.sets.prompt_set import PromptEntry, PromptSet

EXAMPLES = """
[bold]Examples[/]

phyt2v batch prompts.txt --rounds 4

phyt2v batch prompts.csv --out runs/physics --fail-fast --json

phyt2v batch videophy2_test.csv --where is_hard=1 --dedupe --seeds 1,2,3 --shard 2/8

shuf -n 9 clips.jsonl | phyt2v batch - --seed 7
"""


def batch(
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="PROMPTS",
            help="A .txt file with one prompt in each line (# begins a comment), or a .jsonl, .json, .csv or "
            ".tsv file with a column of prompts, and maybe `id` and `seed`; - reads any of these from "
            "standard input.",
            show_default=False,
        ),
    ],
    prompt_column: batch_options.PromptColumn = None,
    image_column: batch_options.ImageColumn = None,
    where: batch_options.Where = None,
    dedupe: batch_options.Dedupe = False,
    limit: batch_options.Limit = None,
    seeds: batch_options.Seeds = None,
    shard: batch_options.Shard = None,
    rounds: options.Rounds = None,
    min_steps: options.MinSteps = None,
    max_steps: options.MaxSteps = None,
    schedule: options.Schedule = None,
    steps: options.StepsList = None,
    seed: options.Seed = None,
    candidates: options.Candidates = None,
    calibration: options.Calibration = None,
    select: options.Select = None,
    control: options.Control = None,
    controls: options.Controls = None,
    early_stop: options.EarlyStop = None,
    probe: options.Probe = None,
    allow_truncation: options.AllowTruncation = None,
    preset: options.Preset = None,
    model: options.Model = None,
    scorer: options.Scorers = None,
    solver: options.Solver = None,
    image: options.Image = None,
    video: options.Video = None,
    config: options.ConfigPath = None,
    assignments: options.Assignments = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            readable=False,  # checked later, with another exit code
            help="The folder with the run directories. (default: batches/, named after the file)",
            show_default=False,
        ),
    ] = None,
    continue_on_fail: batch_options.ContinueOnFail = True,
    num_open: batch_options.OpenRuns = None,
    executor: batch_options.Executor = None,
    ray_address: batch_options.RayAddress = None,
    gpus: batch_options.Gpus = None,
    force: options.Force = False,
    dry_run: options.DryRun = False,
    events: running_options.Events = None,
    log_level: running_options.LogLevel = "info",
    log_file: running_options.LogFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Refine every prompt of a set, several side by side; the models are loaded once.

    The path of each result is printed on stdout as it is done. The same command continues with what is
    interrupted or failed and leaves complete runs alone. Exit code 5: some prompts failed, or entries of the
    set cannot be used.
    """
    from phyt2v_cli.checks.preflight import check_disk, check_model, needed_bytes
    from phyt2v_cli.cli.views import set_plan
    from phyt2v_cli.runs.opening import check_run_folder
    from phyt2v_cli.schedule import planned_ids
    from phyt2v_cli.sets.force import ForceMemory
    from phyt2v_cli.sets.jobs import (
        check_batch_dir,
        default_batch_dir,
        lock_batch_dir,
        look_into_all,
        make_jobs,
    )
    from phyt2v_cli.sets.manifest import write_manifest
    from phyt2v_cli.sets.prompt_set import read_prompt_set
    from phyt2v_cli.sets.selection import Selection

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    journal.begin(events=events, log_file=log_file, log_level=log_level, as_json=as_json)
    selection = Selection.parse(
        prompt_column=prompt_column,
        image_column=image_column,
        where=where or (),
        dedupe=dedupe,
        limit=limit,
        seeds=seeds,
        shard=shard,
    )
    prompt_set = read_prompt_set(prompts, selection)
    loaded = options.load(
        preset,
        config,
        # Of a set it is the number of models; of one prompt the GPUs of one model.
        [*(assignments or ()), *([] if gpus is None else [f"execution.gpus={gpus}"])],
        {
            "rounds": rounds,
            "min_steps": min_steps,
            "max_steps": max_steps,
            "schedule": schedule,
            "steps": steps,
            "seed": seed,
            "candidates": candidates,
            "calibration": calibration,
            "select": select,
            "control": control,
            "controls": controls,
            "early_stop": early_stop,
            "probe": probe,
            "allow_truncation": allow_truncation,
            "model": model,
            "solver": solver,
            "image": image,
            "video": video,
            "executor": executor,
            "ray_address": ray_address,
        },
        scorers=scorer,
    )
    settings, planned = watch.plan_loop(loaded)
    batch_dir = out or default_batch_dir(prompts, settings)
    check_batch_dir(batch_dir, selection.shard)
    if prompt_set.faults:
        console.error(set_plan.faults_as_text(prompt_set, whole=console.is_verbose()))
        if not continue_on_fail:
            raise _some_are_faulty(prompt_set)
    settings, pictures, faulty = _with_pictures(settings, prompt_set.entries)
    jobs = make_jobs(prompt_set.entries, settings, batch_dir, pictures)
    without_picture = {
        job.number: faulty[path] for job in jobs if (path := job.entry.image) is not None and path in faulty
    }
    memory = ForceMemory.read(batch_dir, selection.shard)
    with_picture = [job for job in jobs if job.number not in without_picture]
    found, in_the_way = look_into_all(with_picture, batch_dir, force=force)
    refused: dict[int, Phyt2vError] = dict(sorted({**in_the_way, **without_picture}.items()))
    complete = {
        job.number
        for job in jobs
        if job.number in found and found[job.number].is_complete and not (force and job.path not in memory)
    }
    usable = [job for job in jobs if job.number not in refused and job.number not in complete]
    num_new = sum(force or not (job.path / "run.json").exists() for job in usable)
    needed = needed_bytes(settings, len(planned_ids(settings.refinement, planned)))
    if num_new:
        # An existing run has what it needs, or the loop reports what is missing.
        check_model(settings)
        check_disk(batch_dir, needed)
    if dry_run:
        needed *= num_new
        _show_what_would_be_done(
            prompt_set, jobs, complete, refused, planned, batch_dir, needed, as_json=as_json
        )
        return

    def open_run(job: "Job") -> "RunDir":
        from phyt2v_cli.runs.directory import RunDir

        if job.number in without_picture:
            raise without_picture[job.number]
        check_run_folder(job.path)
        if not (job.path / "run.json").exists():
            # Checked again before each run, since the disk fills while the set is rendered.
            check_disk(job.path, needed)
        must_renew = force and job.number not in complete
        run = RunDir.open(
            job.path, prompt=job.entry.prompt, config=job.config, plan=planned, force=must_renew
        )
        if must_renew:
            memory.add(job.path)
        return run

    with lock_batch_dir(batch_dir, selection.shard):
        entries = write_manifest(batch_dir, prompt_set.entries, source=prompts, shard=selection.shard)
        outcomes: Sequence[Outcome] = ()
        if jobs:
            summary = running.SummaryKeeper(batch_dir, entries, selection.shard)
            outcomes = running.run(
                jobs,
                complete,
                without_picture,
                planned,
                open_run,
                summary,
                num_open=num_open,
                fail_fast=not continue_on_fail,
                stream=not as_json,
            )
        else:
            console.warn(f"no prompt of {prompt_set.name} is in shard {selection.shard}")
        if jobs and summary.in_words:
            console.say(summary.in_words)
        running.sum_up(batch_dir, jobs, outcomes, prompt_set.faults, as_json=as_json)
        memory.forget()  # only if every job is complete, else the summary has raised
    if prompt_set.faults:
        raise _some_are_faulty(prompt_set)


def _with_pictures(
    settings: "Config", entries: "Sequence[PromptEntry]"
) -> "tuple[Config, Mapping[Path, str], Mapping[Path, PromptError]]":
    """Settings with the first picture that can be used, if any, which the model is loaded with; and all.

    These are the checksums of those that can be used, and the errors of the others.
    """
    from phyt2v_cli.checks.pictures import check_pictures
    from phyt2v_cli.sets.jobs import with_picture

    paths = [entry.image for entry in entries if entry.image is not None]
    if not paths:
        return settings, {}, {}
    usable, faulty = check_pictures(paths, settings)
    for path, sha256 in usable.items():
        return with_picture(settings, path, sha256), usable, faulty
    return settings, usable, faulty


def _some_are_faulty(prompt_set: "PromptSet") -> SomePromptsFailedError:
    number = count(len(prompt_set.faults), "entry", "entries")
    return SomePromptsFailedError(f"{number} of {prompt_set.name} cannot be used", "Correct the set.")


def _show_what_would_be_done(
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
        seconds = watch.expected_seconds(config, planned, len(jobs) - len(complete) - len(refused))
    time = "" if seconds is None else f" and about {duration(seconds)} of rendering"
    console.say(
        f"{running.count_jobs(jobs, complete)}; would be rendered into {batch_dir}, taking at most about "
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
        running.tell_error(jobs[job_number - 1], *worded(error))
    if as_json:
        plan = set_plan.plan_as_json(
            batch_dir, planned, jobs, statuses, refused, needed_bytes=needed, expected_seconds=seconds
        )
        console.json_object(plan | {"faults": set_plan.faults_as_json(prompt_set.faults)})
    if refused:
        raise SomePromptsFailedError(f"{len(refused)} of {count(len(jobs), 'prompt')} would fail")
    if prompt_set.faults:
        raise _some_are_faulty(prompt_set)
