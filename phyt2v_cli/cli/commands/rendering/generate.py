"""`phyt2v generate`: one video from one prompt, without judges and without the loop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import console, options, signals, watch
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.journal.run import of_command
from phyt2v_cli.cli.running import host
from phyt2v_cli.cli.running import options as running
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.checks.preflight import PreparedVideo
    from phyt2v_cli.runs.outcome.result import VideoResult
    from phyt2v_cli.timing.trace import Timeline

EXAMPLES = """
[bold]Examples[/]

phyt2v generate prompt.txt --out ball.mp4

phyt2v generate --prompt "a red ball drops" --steps 20 --seed 7

phyt2v generate prompt.txt --model ./my-cogvideox --set generator.num_frames=49
"""


def generate(
    prompt_file: options.PromptFile = None,
    prompt: options.PromptText = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            help="Denoising steps. (default: those of the schedule's final)",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = None,
    allow_truncation: options.AllowTruncation = None,
    preset: options.Preset = None,
    model: options.Model = None,
    solver: options.Solver = None,
    gpus: options.Gpus = None,
    image: options.Image = None,
    video: options.Video = None,
    config: options.ConfigPath = None,
    assignments: options.Assignments = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.mp4", readable=False, help="The video file.")
    ] = Path("output.mp4"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file that is there.", metavar="")
    ] = False,
    dry_run: options.DryRun = False,
    profile: options.Profile = None,
    events: running.Events = None,
    log_level: running.LogLevel = "info",
    log_file: running.LogFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Render one video from a prompt; its path is printed on stdout."""
    from phyt2v_cli.checks.preflight import prepare_video

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    journal.begin(events=events, log_file=log_file, log_level=log_level, as_json=as_json)
    text = options.read_prompt(prompt_file, prompt)
    layered = options.load(
        preset,
        config,
        assignments,
        {
            "max_steps": steps,
            "seed": seed,
            "allow_truncation": allow_truncation,
            "model": model,
            "solver": solver,
            "gpus": gpus,
            "image": image,
            "video": video,
        },
        spelt={"max_steps": "--steps"},
    )
    if profile is not None:
        from phyt2v_cli.timing.trace import check_target

        check_target(profile)
    prepared = prepare_video(text, layered, out=out, steps=steps, force=force)
    for notice in prepared.notices:
        console.warn(notice)
    if dry_run:
        steps_of = f"{count(prepared.steps, 'denoising step')} of {prepared.config.generator.model}"
        console.say(f"Would render {out} with {steps_of}.")
        if as_json:
            console.json_object(
                {
                    "schema": "phyt2v.video-dry-run/1",
                    "video": str(out),
                    "videos": [{"round": None, "steps": prepared.steps, "purpose": "final"}],
                    "needed_bytes": prepared.needed_bytes,
                }
            )
        return
    with watch.profiling(profile) as timeline:
        result = _render(prepared, timeline)
    shown: dict[str, object] = {
        "schema": "phyt2v.video/1",
        "video": str(result.video),
        "sha256": result.sha256,
        "prompt": result.prompt,
        "steps": result.steps,
        "seed": result.seed,
        "seconds": dict(result.seconds),
    }
    journal.set_data(shown)
    if as_json:
        console.json_object(shown)
    else:
        journal.result(str(result.video))


def _render(prepared: "PreparedVideo", timeline: "Timeline | None") -> "VideoResult":
    from phyt2v_cli.api import Studio
    from phyt2v_cli.schedule import PlannedRound

    config, steps = prepared.config, prepared.steps
    stop = signals.stop_request(
        "The rendering was stopped.", "The same command starts again, or resumes from finished latents."
    )
    console.say(f"{count(steps, 'denoising step')} of {config.generator.model}")
    planned = [PlannedRound(1, steps, "final")]
    with stop, watch.watching(config, planned, timeline=timeline, also=[of_command()]) as emit:
        host.prepare_for_models()
        # Not closed: its memory is freed with the process, and closing it would delay the exit.
        studio = Studio(config=config, on_span=None if timeline is None else timeline.span)
        return studio.render(prepared, emit=emit, cancelled=stop.cancelled)
