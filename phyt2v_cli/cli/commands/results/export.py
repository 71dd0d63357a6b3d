"""`phyt2v export`: the videos of a prompt set, named as a benchmark's scorer wants them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.errors import SomePromptsFailedError
from phyt2v_cli.quantities import count

EXAMPLES = """
[bold]Examples[/]

phyt2v export batches/prompts-1a2b3c4d --for phygenbench

phyt2v export batches/videophy2-1a2b3c4d --for videophy2 --videos control --out scored/control
"""

_MAX_TOLD = 20


def export(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            autocompletion=completion.sets_and_runs,
            readable=False,  # checked later, with another exit code
            help="The folder of a prompt set, or a run directory.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Literal["phygenbench", "vbench2", "videophy2", "physics-iq", "phyt2v-reference", "csv"],
        typer.Option("--for", help="Whose names and index to write.", show_default=False),
    ],
    videos: Annotated[
        Literal["result", "first", "control", "blind", "best-of-n"],
        typer.Option(
            "--videos", help="Which video of each prompt; phyt2v-reference takes those of all rounds."
        ),
    ] = "result",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            readable=False,  # checked later, with another exit code
            help="The folder to write. (default: exports/, named after the scorer, in the set's folder)",
            show_default=False,
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy the videos; for scorers that change their files.", metavar=""),
    ] = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Write the videos of a set under the names that a benchmark's scorer wants, with its index.

    Videos are hard links where the file system has them, so that they take no room. index.csv says which
    prompt and run each is of. The folder's path is printed on stdout. The same command completes an export;
    a folder with anything else is refused. Exit code 5: prompts that are not complete were left out.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.sets.export.folder import write_export
    from phyt2v_cli.sets.export.plan import plan_export
    from phyt2v_cli.sets.history import run_or_set_by_name

    folder = run_or_set_by_name(folder)
    plan = plan_export(folder, target, videos)
    where = out or folder / "exports" / (target if videos == "result" else f"{target}-{videos}")
    written = write_export(plan, where, copy=copy, force=force) if plan.files else None
    for about, told in ((plan.notes, "another name"), (plan.left_out, "left out")):
        for entry, why in about[: None if verbose else _MAX_TOLD]:
            console.warn(f"{entry.folder}: {told}: {why}")
        if len(about) > _MAX_TOLD and not verbose:
            console.warn(f"and {count(len(about) - _MAX_TOLD, 'more prompt')}: {told}")
    if written is not None:
        if steps := sorted({row["steps"] for row in plan.rows if row["purpose"] == "draft"}, key=str):
            console.say(f"Some videos are drafts, of {', '.join(map(str, steps))} steps.")
        parts = {"linked": written.num_linked, "copied": written.num_copied, "kept": written.num_kept}
        told = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
        console.say(f"{count(len(plan.files), 'video')}: {told}")
    if as_json:
        console.json_object(
            {
                "schema": "phyt2v.export/1",
                "for": target,
                "videos": videos,
                "out": None if written is None else str(where),
                "indexes": [] if written is None else [str(path) for path in written.indexes],
                "num_files": len(plan.files),
                "left_out": [
                    {"id": entry.id, "folder": entry.folder, "reason": why} for entry, why in plan.left_out
                ],
                "renamed": [{"folder": entry.folder, "reason": why} for entry, why in plan.notes],
            }
        )
    elif written is not None:
        console.data(str(where))
    if plan.left_out:
        raise SomePromptsFailedError(
            f"{len(plan.left_out)} of {count(plan.num_prompts, 'prompt')} left out",
            "Complete the set with `run_jobs`, then export again.",
        )
