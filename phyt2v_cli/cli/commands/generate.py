"""`phyt2v generate`: one video from one prompt, without judges and without the loop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from phyt2v_cli.cli import console, options, signals, watch
from phyt2v_cli.errors import FaultyFramesError, RunInterruptedError

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.events import Stage
    from phyt2v_cli.roles import DenoisingStep
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
            "--steps", metavar="N", help="Denoising steps. (default: the preset's max)", show_default=False
        ),
    ] = None,
    seed: options.Seed = None,
    allow_truncation: options.AllowTruncation = None,
    preset: options.Preset = None,
    model: options.Model = None,
    solver: options.Solver = None,
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
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Render one video from a prompt; its path is printed on stdout."""
    from phyt2v_cli.checks.preflight import check_disk, check_model, check_video_path, complete, needed_bytes
    from phyt2v_cli.sets.prompt_file import read_prompt, several_lines_hint

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    text = read_prompt(prompt_file, prompt)
    if hint := several_lines_hint(text):
        console.warn(hint)
    layered = options.load(
        preset,
        config,
        assignments,
        video_steps=steps,
        seed=seed,
        allow_truncation=allow_truncation,
        model=model,
        solver=solver,
        image=image,
        video=video,
    )
    check_video_path(out, force=force)
    if profile is not None:
        from phyt2v_cli.timing.trace import check_target

        check_target(profile)
    loaded = complete(layered).config
    schedule = loaded.schedule
    num_steps = schedule.max_steps if steps is not None else max(schedule.min_steps, schedule.max_steps)
    check_model(loaded)
    needed = needed_bytes(loaded, 1)
    check_disk(out.parent, needed)
    if dry_run:
        console.say(f"Would render {out} with {num_steps} denoising steps of {loaded.generator.model}.")
        if as_json:
            console.json_object(
                {
                    "schema": "phyt2v.dry-run/1",
                    "video": str(out),
                    "videos": [{"round": None, "steps": num_steps, "purpose": "final"}],
                    "needed_bytes": needed,
                }
            )
        return
    with watch.profiling(profile) as timeline:
        rendered = _render(text, loaded, num_steps, out, timeline)
    if as_json:
        console.json_object(
            {
                "schema": "phyt2v.video/1",
                "video": str(out),
                "sha256": rendered.sha256,
                "prompt": text,
                "steps": num_steps,
                "seed": rendered.seed,
                "seconds": rendered.seconds,
            }
        )
    else:
        console.data(str(out))


class _Rendered(NamedTuple):
    seed: int
    sha256: str
    seconds: dict[str, float]
    """By stage."""


def _render(
    prompt: str, config: "Config", num_steps: int, out: Path, timeline: "Timeline | None"
) -> _Rendered:
    from phyt2v_cli import backends
    from phyt2v_cli.events import GeneratorReady, LoadStarted, StageDone, StageStarted, StepDone
    from phyt2v_cli.refinement.render import Target, check_prompt_length, render_or_reseed
    from phyt2v_cli.runs.identity import Recipe
    from phyt2v_cli.runs.latents import drop_latents
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.video_id import RoundId

    seconds: dict[str, float] = {}
    latents_path = out.with_name(f"{out.name}.phyt2v-latents")
    video = RoundId(1)
    stop = signals.stop_request(
        "The rendering was stopped. The same command starts again, or goes on from finished latents."
    )

    @contextmanager
    def stage(name: "Stage") -> Iterator[None]:
        if stop.cancelled():
            raise RunInterruptedError
        if name == "decode" and "denoise" not in seconds:
            console.say(f"Going on from the latents in {latents_path}")
        emit(StageStarted(video, name))
        start = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - start, 3)
        emit(StageDone(video, name, seconds[name]))

    def on_step(step: "DenoisingStep") -> None:
        emit(GeneratorReady(dict(step.how)))
        emit(StepDone(video, step.number, step.total))

    def on_reseed(error: FaultyFramesError, seed: int) -> None:
        console.warn(f"{error}; trying once with another seed, {seed}")

    console.say(f"{num_steps} denoising steps of {config.generator.model}")
    planned = [PlannedRound(video.number, num_steps, "final")]
    with stop, watch.watching(config, planned, control=False, timeline=timeline) as emit:
        emit(LoadStarted())
        generator = backends.load_generator(config, num_planned_steps=num_steps)
        emit(GeneratorReady(dict(generator.settings)))
        notice = check_prompt_length(generator, prompt, allow_truncation=config.generator.allow_truncation)
        if notice is not None:
            console.warn(notice)
        recipe = Recipe(prompt, config.run.seed, num_steps, "final", config.generator)
        target = Target(out, latents_path, on_step=on_step, cancelled=stop.cancelled, stage=stage)
        rendered = render_or_reseed(generator, recipe, target, on_reseed=on_reseed)
        drop_latents(latents_path)
    return _Rendered(rendered.recipe.seed, rendered.sha256, seconds)
