"""`phyt2v calibrate`: what drafts and judges are worth for one model, measured on a small prompt set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from phyt2v_cli.cli import console, options, watch
from phyt2v_cli.cli.batch import options as batch_options
from phyt2v_cli.errors import SomePromptsFailedError, UsageError
from phyt2v_cli.quantities import count, mebibytes

if TYPE_CHECKING:
    from phyt2v_cli.calibration.record import CalibrationRecord
    from phyt2v_cli.config.generator import DraftCache
    from phyt2v_cli.config.layers import LoadedConfig
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.sets.prompt_set import PromptEntry
    from phyt2v_cli.sets.study.design import Design

EXAMPLES = """
[bold]Examples[/]

phyt2v calibrate prompts.txt --max-seconds 900

phyt2v calibrate prompts.csv --preset cogvideox-5b --draft-steps 10,20 --num-seeds 4

phyt2v refine prompt.txt --candidates 3 --calibration calibrations/prompts-1a2b3c4d/calibration.json
"""

_STUDY = "What is measured"
_USUAL_LOOK = 0.2
"""Share of the steps after which most failing videos of the embedded model can be told."""


def calibrate(
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="PROMPTS",
            help="The prompts, in any form that `phyt2v batch` reads; a few dozen tell more than a few.",
            show_default=False,
        ),
    ],
    prompt_column: batch_options.PromptColumn = None,
    where: batch_options.Where = None,
    dedupe: batch_options.Dedupe = False,
    limit: batch_options.Limit = None,
    rewrites: Annotated[
        int,
        typer.Option(
            "--rewrites",
            metavar="N",
            min=0,
            max=25,
            help="Rewrites of each prompt by the LLM, rendered beside it.",
            rich_help_panel=_STUDY,
        ),
    ] = 3,
    num_seeds: Annotated[
        int,
        typer.Option(
            "--num-seeds",
            metavar="N",
            min=1,
            max=26,
            help="Seeds of each final; drafts have the first.",
            rich_help_panel=_STUDY,
        ),
    ] = 2,
    draft_steps: Annotated[
        str | None,
        typer.Option(
            "--draft-steps",
            metavar="N,N,…",
            help="Denoising steps of the drafts. (default: those of the schedule)",
            rich_help_panel=_STUDY,
            show_default=False,
        ),
    ] = None,
    look_at: Annotated[
        str | None,
        typer.Option(
            "--look-at",
            metavar="N,N,…",
            help="Steps of the final after which the video that the model predicts is judged too, or none. "
            "(default: a fifth, if the model can)",
            rich_help_panel=_STUDY,
            show_default=False,
        ),
    ] = None,
    draft_caches: Annotated[
        str,
        typer.Option(
            "--draft-caches",
            metavar="NAME,…",
            help="Feature caches to measure at the fewest draft steps: all that work on the model, none, or "
            "some by name.",
            rich_help_panel=_STUDY,
        ),
    ] = "all",
    max_seconds: Annotated[
        float | None,
        typer.Option(
            "--max-seconds",
            metavar="S",
            min=0,
            help="Begin no further video after this time; the same command resumes.",
            rich_help_panel=_STUDY,
            show_default=False,
        ),
    ] = None,
    rounds: options.Rounds = None,
    min_steps: options.MinSteps = None,
    max_steps: options.MaxSteps = None,
    schedule: options.Schedule = None,
    seed: options.Seed = None,
    probe: options.Probe = None,
    allow_truncation: options.AllowTruncation = None,
    preset: options.Preset = None,
    model: options.Model = None,
    scorer: options.Scorers = None,
    solver: options.Solver = None,
    config: options.ConfigPath = None,
    assignments: options.Assignments = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            readable=False,  # checked later, with another exit code
            help="The folder with the videos and calibration.json. (default: calibrations/, named after the "
            "file)",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show how many videos would be rendered; render nothing.", metavar=""),
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Measure the noise of the scores, and what cheaper drafts keep, for one model, size and judge.

    Each prompt and its rewrites are rendered with several seeds and as drafts, and judged. The path of
    calibration.json is printed on stdout; a plot is beside it. `--calibration FILE` of `phyt2v refine` and
    `phyt2v batch` uses it. The same command continues with what is missing. Exit code 5: entries of the set
    cannot be used.
    """
    from phyt2v_cli.cli.views import set_plan
    from phyt2v_cli.sets.prompt_set import read_prompt_set
    from phyt2v_cli.sets.selection import Selection

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    selection = Selection.parse(
        prompt_column=prompt_column,
        image_column=None,
        where=where or (),
        dedupe=dedupe,
        limit=limit,
        seeds=None,
        shard=None,
    )
    prompt_set = read_prompt_set(prompts, selection)
    loaded = options.load(
        preset,
        config,
        assignments,
        {
            "rounds": rounds,
            "min_steps": min_steps,
            "max_steps": max_steps,
            "schedule": schedule,
            "seed": seed,
            "probe": probe,
            "allow_truncation": allow_truncation,
            "model": model,
            "solver": solver,
        },
        scorers=scorer,
    )
    settings = _settings(loaded)
    if prompt_set.faults:
        console.error(set_plan.faults_as_text(prompt_set, whole=verbose))
    design = _design(settings, rewrites, num_seeds, draft_steps, look_at, draft_caches)
    _run(prompts, prompt_set.entries, settings, design, out, max_seconds, dry_run=dry_run, as_json=as_json)
    if prompt_set.faults:
        number = count(len(prompt_set.faults), "entry", "entries")
        raise SomePromptsFailedError(f"{number} of {prompt_set.name} cannot be used", "Correct the set.")


def _settings(loaded: "LoadedConfig") -> "Config":
    """Completed and checked config; its notes are printed."""
    from phyt2v_cli.checks.judges import check_judges
    from phyt2v_cli.checks.preflight import check_model, complete, complete_judges

    watch.say_notices(loaded)
    check_judges(loaded.config)
    settings = complete(complete_judges(loaded)).config
    check_model(settings)
    # One generator at a time, here: on a cluster each would load in other workers again.
    threads = settings.execution.model_copy(update={"executor": "threads"})
    return settings.model_copy(update={"execution": threads})


def _design(
    settings: "Config",
    rewrites: int,
    num_seeds: int,
    draft_steps: str | None,
    look_at: str | None,
    draft_caches: str,
) -> "Design":
    from phyt2v_cli.checks import preflight
    from phyt2v_cli.schedule import final_steps, look_steps
    from phyt2v_cli.sets.study.design import design_of

    offered = preflight.draft_caches(settings)
    names = () if draft_caches == "none" else tuple(part.strip() for part in draft_caches.split(","))
    if draft_caches == "all":
        names = offered
    elif unknown := [name for name in names if name not in offered]:
        works = ", ".join(offered) or "none"
        raise UsageError(f"--draft-caches: {unknown[0]} does not work on this model; what does: {works}")
    obstacle = preflight.obstacle_to_looks(settings.generator)
    if look_at is None:
        looks = [] if obstacle else [look_steps(_USUAL_LOOK, final_steps(settings.schedule))]
    elif obstacle and look_at != "none":
        raise UsageError(f"--look-at: {obstacle} predicts no video half-way")
    else:
        looks = [] if look_at == "none" else _numbers("--look-at", look_at)
    caches = cast("tuple[DraftCache, ...]", names)
    return design_of(
        settings,
        num_rewrites=rewrites,
        num_seeds=num_seeds,
        draft_steps=None if draft_steps is None else _numbers("--draft-steps", draft_steps),
        caches=caches,
        look_steps=looks,
    )


def _numbers(option: str, text: str) -> list[int]:
    """Parse a list of whole numbers; raise UsageError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"{option}: {text!r:.60} is no list of whole numbers, as in 5,10,20")
    return [int(part[:9]) for part in parts]


def _run(
    prompts: str,
    entries: "tuple[PromptEntry, ...]",
    settings: "Config",
    design: "Design",
    out: Path | None,
    max_seconds: float | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    from phyt2v_cli.checks.preflight import check_disk, needed_bytes
    from phyt2v_cli.cli.running.studying import measure
    from phyt2v_cli.sets.study.folder import StudyDir, check_study_dir, default_study_dir

    folder = out or default_study_dir(prompts, settings)
    num_videos = len(entries) * design.num_videos
    needed = needed_bytes(settings, num_videos)
    if not folder.exists():
        check_disk(folder, needed)
    drafts = [setting.name for setting in design.short]
    console.say(
        f"{count(len(entries), 'prompt')}, each with {count(design.num_rewrites, 'rewrite')}: "
        f"{count(len(design.seeds), 'final')} of {count(design.final.steps, 'step')} and drafts of "
        f"{'; '.join(drafts) or 'no setting'}. {count(num_videos, 'video')}, "
        f"{count(len(entries) * design.num_steps, 'denoising step')}, into {folder}, taking at most about "
        f"{mebibytes(needed)}."
    )
    if dry_run:
        check_study_dir(folder)
        if as_json:
            console.json_object(
                {
                    "schema": "phyt2v.calibration-dry-run/1",
                    "out": str(folder),
                    "num_videos": num_videos,
                    "num_steps": len(entries) * design.num_steps,
                    "needed_bytes": needed,
                }
            )
        return
    with StudyDir.open(folder, settings) as study_dir:
        record, path = measure(study_dir, entries, settings, design, max_seconds)
    _show(record, path, as_json=as_json)


def _show(record: "CalibrationRecord", path: Path, *, as_json: bool) -> None:
    from phyt2v_cli.cli.views.calibration import calibration_table, lines_of
    from phyt2v_cli.sets.study.folder import PICTURE

    console.say(calibration_table(record, ascii_only=console.stderr().options.ascii_only))
    for line in lines_of(record):
        console.say(line)
    console.say(f"Plot: {path.with_name(PICTURE)}")
    if as_json:
        console.json_object({**record.model_dump(mode="json"), "path": str(path)})
    else:
        console.data(str(path))
