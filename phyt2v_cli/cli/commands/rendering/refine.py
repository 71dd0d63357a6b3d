"""`phyt2v refine`: one run of the loop, and its result on stdout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import completion, console, options, watch
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.running import approval
from phyt2v_cli.cli.running import options as running
from phyt2v_cli.cli.running.refining import Going, complete
from phyt2v_cli.errors import UsageError
from phyt2v_cli.quantities import mebibytes

if TYPE_CHECKING:
    from phyt2v_cli.checks.preflight import PreparedRun
    from phyt2v_cli.config.layers import LoadedConfig

EXAMPLES = """
[bold]Examples[/]

phyt2v refine prompt.txt --rounds 4

phyt2v refine --prompt "a red ball drops" --min 20 --max 50 --seed 7

echo "a blue cube slides" | phyt2v refine - --out runs/cube --json

phyt2v refine --resume runs/cube

phyt2v refine prompt.txt --stop-after rewrite > next.txt
"""


def refine(
    prompt_file: options.PromptFile = None,
    prompt: options.PromptText = None,
    rounds: options.Rounds = None,
    min_steps: options.MinSteps = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    control: options.Control = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            readable=False,  # checked later, with another exit code
            help="The run directory. (default: runs/, named after the prompt)",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="DIR",
            autocompletion=completion.runs,
            readable=False,
            help="Resume the run in DIR, with its own settings.",
            show_default=False,
        ),
    ] = None,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    preset: options.Preset = None,
    model: options.Model = None,
    scorer: options.Scorers = None,
    config: options.ConfigPath = None,
    assignments: options.Assignments = None,
    schedule: options.Schedule = None,
    steps: options.StepsList = None,
    select: options.Select = None,
    controls: options.Controls = None,
    candidates: options.Candidates = None,
    early_stop: options.EarlyStop = None,
    calibration: options.Calibration = None,
    approve: running.Approve = False,
    stop_after: running.StopAfter = None,
    new_prompt: running.NewPrompt = None,
    max_seconds: running.MaxSeconds = None,
    max_cost: running.MaxCost = None,
    solver: options.Solver = None,
    gpus: options.Gpus = None,
    image: options.Image = None,
    video: options.Video = None,
    probe: options.Probe = None,
    allow_truncation: options.AllowTruncation = None,
    trust: running.Trust = False,
    profile: options.Profile = None,
    events: running.Events = None,
    log_level: running.LogLevel = "info",
    log_file: running.LogFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
    round_num: options.RoundNum = None,
    min_steps_underscore: options.MinStepsUnderscore = None,
    max_steps_underscore: options.MaxStepsUnderscore = None,
) -> None:
    """Render a prompt, judge the video, rewrite the prompt, and again; the last video is the result.

    Its path is printed on stdout. The same command resumes an interrupted run, and leaves a complete one
    alone. Scores: SA (semantic adherence: the video shows the request) and PC (physical commonsense), 0 to 1.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    journal.begin(events=events, log_file=log_file, log_level=log_level, as_json=as_json)
    flags: dict[str, object] = {
        "rounds": options.first(rounds, round_num),
        "min_steps": options.first(min_steps, min_steps_underscore),
        "max_steps": options.first(max_steps, max_steps_underscore),
        "schedule": schedule,
        "steps": steps,
        "seed": seed,
        "candidates": candidates,
        "calibration": calibration,
        "select": select,
        "control": control,
        "controls": controls,
        "early_stop": early_stop,
        "max_seconds": max_seconds,
        "max_cost": max_cost,
        "probe": probe,
        "allow_truncation": allow_truncation,
        "model": model,
        "solver": solver,
        "gpus": gpus,
        "image": image,
        "video": video,
    }
    if approve:
        approval.check_terminal()
    going = Going(profile, as_json, approve=approve, stop_after=stop_after)
    if profile is not None:
        from phyt2v_cli.timing.trace import check_target

        check_target(profile)
    if resume is not None:
        others = [
            prompt_file,
            preset,
            config,
            out,
            force or None,
            assignments or None,
            scorer or None,
        ]
        if any(value is not None for value in [*others, *flags.values()]):
            raise UsageError("--resume uses the run's own settings; leave out all others")
        if dry_run:
            raise UsageError("--resume and --dry-run do not go together")
        _resume(resume, running.read_new_prompt(new_prompt, prompt), trust=trust, going=going)
        return
    if new_prompt is not None:
        raise UsageError("--prompt-file is the next prompt of a run that waits; give --resume with it")
    if trust:
        raise UsageError("--trust is about the config that --resume finds in a run; leave it out")
    text = options.read_prompt(prompt_file, prompt)
    loaded = options.load(preset, config, assignments, flags, scorers=scorer)
    _start(text, loaded, out, force=force, dry_run=dry_run, going=going)


def _start(
    prompt: str,
    loaded: "LoadedConfig",
    out: Path | None,
    *,
    force: bool,
    dry_run: bool,
    going: Going,
) -> None:
    from phyt2v_cli.checks.preflight import prepare_run

    prepared = prepare_run(prompt, loaded, out=out, force=force)
    for notice in prepared.notices:
        console.warn(notice)
    if dry_run:
        _show_what_would_be_done(prepared, as_json=going.as_json)
        return
    with prepared.open() as run:
        complete(run, going)


def _show_what_would_be_done(prepared: "PreparedRun", *, as_json: bool) -> None:
    from phyt2v_cli.cli.views.plan import control_as_json, controls_as_json, round_plan_as_json
    from phyt2v_cli.schedule import plan_controls
    from phyt2v_cli.timing import speeds

    config, planned, path = prepared.config, prepared.planned, prepared.path
    watch.show_plan(config, planned)
    if prepared.is_complete:
        console.say(f"{path} is complete: nothing would be rendered, and --force would run it again.")
    else:
        console.say(
            f"Would be rendered into {path}, taking at most about {mebibytes(prepared.needed_bytes)}."
        )
    if as_json:
        speed = speeds.find(config.generator)
        controls = plan_controls(config.refinement, planned)
        console.json_object(
            {
                "schema": "phyt2v.dry-run/1",
                "run_dir": str(path),
                "videos": [round_plan_as_json(p) for p in planned],
                "control": control_as_json(controls),
                "controls": controls_as_json(controls),
                "needed_bytes": prepared.needed_bytes,
                "expected_seconds": None if speed is None else round(speed.total_s(planned, controls), 1),
            }
        )


def _resume(path: Path, new_prompt: str | None, *, trust: bool, going: Going) -> None:
    from phyt2v_cli.checks.resuming import open_run
    from phyt2v_cli.runs.history.names import run_by_name
    from phyt2v_cli.runs.steering import set_next_prompt

    with open_run(run_by_name(path), trust=trust) as run:
        if new_prompt is not None:
            set_next_prompt(run, new_prompt)
        complete(run, going)
