"""`phyt2v batch`: refine every prompt of a set in one process, which loads the models once."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import console, options, set_run, watch
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import FilesError, SomePromptsFailedError
from phyt2v_cli.quantities import count, duration, mebibytes

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job

EXAMPLES = """
[bold]Examples[/]

phyt2v batch prompts.txt --rounds 4

phyt2v batch prompts.csv --out runs/physics --fail-fast --json

shuf -n 9 clips.jsonl | phyt2v batch - --seed 7
"""


def batch(
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="PROMPTS",
            help="A .txt file with one prompt in each line (# begins a comment), or a .jsonl, .json or .csv "
            "file with `prompt` or `caption`, and maybe `id` and `seed`; - reads any of these from standard "
            "input.",
            show_default=False,
        ),
    ],
    rounds: options.Rounds = None,
    min_steps: options.MinSteps = None,
    max_steps: options.MaxSteps = None,
    schedule: options.Schedule = None,
    steps: options.StepsList = None,
    seed: options.Seed = None,
    select: options.Select = None,
    control: options.Control = None,
    early_stop: options.EarlyStop = None,
    probe: options.Probe = None,
    allow_truncation: options.AllowTruncation = None,
    preset: options.Preset = None,
    model: options.Model = None,
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
    continue_on_fail: Annotated[
        bool,
        typer.Option(
            "--continue-on-fail/--fail-fast",
            help="After a prompt that fails: take the next one, or stop.",
            metavar="",
        ),
    ] = True,
    num_open: Annotated[
        int | None,
        typer.Option(
            "--open-runs",
            metavar="N",
            min=1,
            help="Runs open at a time: while one waits for its LLM, another renders. "
            "(default: as many as keep the generator busy)",
            show_default=False,
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="NAME",
            help="threads: on one GPU, in this process. ray: on the GPUs of a Ray cluster, or on those of this "
            "machine. (default: auto, which is ray if a cluster is named or there are several GPUs here)",
            show_default=False,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="local; HOST:PORT; or auto: what RAY_ADDRESS names, or what runs here, else local.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", metavar="N", help="GPUs to use. (default: all)", show_default=False),
    ] = None,
    force: options.Force = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Refine every prompt of a set, several side by side; the models are loaded once.

    The path of each result is printed on stdout as it is done. The same command goes on with what is
    interrupted or failed and leaves complete runs alone. Exit code 5: some prompts failed.
    """
    from phyt2v_cli.checks.preflight import check_disk, check_model, needed_bytes
    from phyt2v_cli.runs.opening import check_run_folder
    from phyt2v_cli.sets.force import ForceMemory
    from phyt2v_cli.sets.jobs import (
        check_batch_dir,
        default_batch_dir,
        lock_batch_dir,
        look_into_all,
        make_jobs,
    )
    from phyt2v_cli.sets.prompt_set import read_prompt_set

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    entries = read_prompt_set(prompts)
    loaded = options.load(
        preset,
        config,
        assignments,
        {
            "rounds": rounds,
            "min_steps": min_steps,
            "max_steps": max_steps,
            "schedule": schedule,
            "steps": steps,
            "seed": seed,
            "select": select,
            "control": control,
            "early_stop": early_stop,
            "probe": probe,
            "allow_truncation": allow_truncation,
            "model": model,
            "solver": solver,
            "image": image,
            "video": video,
            "executor": executor,
            "ray_address": ray_address,
            "gpus": gpus,
        },
    )
    settings, planned = watch.plan_loop(loaded)
    batch_dir = out or default_batch_dir(prompts, settings)
    check_batch_dir(batch_dir)
    jobs = make_jobs(entries, settings, batch_dir)
    memory = ForceMemory.read(batch_dir)
    found, refused = look_into_all(jobs, batch_dir, force=force)
    complete = {
        job.number
        for job in jobs
        if job.number in found and found[job.number].is_complete and not (force and job.path not in memory)
    }
    usable = [job for job in jobs if job.number not in refused and job.number not in complete]
    num_new = sum(force or not (job.path / "run.json").exists() for job in usable)
    needed = needed_bytes(settings, len(planned) + settings.refinement.control)
    if num_new:
        # An existing run has what it needs, or the loop reports what is missing.
        check_model(settings)
        check_disk(batch_dir, needed)
    if dry_run:
        needed *= num_new
        _show_what_would_be_done(jobs, complete, refused, planned, batch_dir, needed, as_json=as_json)
        return

    def open_run(job: "Job") -> "RunDir":
        from phyt2v_cli.runs.directory import RunDir

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

    with lock_batch_dir(batch_dir):
        write_manifest(batch_dir, entries, source=prompts, shard=None)
        summary = set_run.SummaryKeeper(batch_dir, entries, None)
        outcomes = set_run.run(
            jobs,
            complete,
            planned,
            open_run,
            summary.keep,
            num_open=num_open,
            fail_fast=not continue_on_fail,
            stream=not as_json,
        )
        set_run.sum_up(batch_dir, jobs, outcomes, as_json=as_json)
        memory.forget()  # only of a complete set, else the summary has raised


def _show_what_would_be_done(
    jobs: "Sequence[Job]",
    complete: Set[int],
    refused: Mapping[int, FilesError],
    planned: "Sequence[PlannedRound]",
    batch_dir: Path,
    needed: int,
    *,
    as_json: bool,
) -> None:
    from phyt2v_cli.cli.views.set import error_as_json, job_as_json

    config = jobs[0].config
    watch.show_plan(config, planned)
    num_left = len(jobs) - len(complete) - len(refused)
    seconds = _expected_seconds(config, planned, num_left)
    time = "" if seconds is None else f" and about {duration(seconds)} of rendering"
    console.say(
        f"{set_run.count_jobs(jobs, complete)}; would be rendered into {batch_dir}, taking at most about "
        f"{mebibytes(needed)} more{time}:"
    )
    statuses = [
        "complete" if job.number in complete else "refused" if job.number in refused else "to do"
        for job in jobs
    ]
    for job, status in zip(jobs, statuses, strict=True):
        console.say(f"  {job.path.name}: {status}")
        if error := refused.get(job.number):
            set_run.tell_error(job, *worded(error))
    if as_json:
        console.json_object(
            {
                "schema": "phyt2v.batch-dry-run/1",
                "batch_dir": str(batch_dir),
                "videos": [{"round": p.round, "steps": p.steps, "purpose": p.purpose} for p in planned],
                "runs": [
                    job_as_json(job)
                    | {"status": status.replace(" ", "_")}
                    | (error_as_json(*worded(refused[job.number])) if job.number in refused else {})
                    for job, status in zip(jobs, statuses, strict=True)
                ],
                "needed_bytes": needed,
                "expected_seconds": None if seconds is None else round(seconds, 1),
            }
        )
    if refused:
        raise SomePromptsFailedError(f"{len(refused)} of {count(len(jobs), 'prompt')} would fail")


def _expected_seconds(config: "Config", planned: "Sequence[PlannedRound]", num_runs: int) -> float | None:
    """Seconds of rendering of so many whole runs; None if this machine has not measured the model yet."""
    from phyt2v_cli.schedule import control_steps
    from phyt2v_cli.timing import speeds

    speed = speeds.find(config.generator)
    return None if speed is None else num_runs * speed.total_s(planned, control_steps(config, planned))
