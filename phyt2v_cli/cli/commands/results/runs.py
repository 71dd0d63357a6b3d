"""`phyt2v runs`: list and show run directories, anybody's. Read-only; their text is shown literally."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.runs.reader import ShownRun

DEFAULT_FOLDER = Path("runs")

_MAX_PROMPT_CHARS = 1000
"""Limit of a prompt in a list, in characters."""
_STYLES = {"complete": "green", "failed": "bold red", "unreadable": "bold red"}


class _ListsByDefault(TyperGroup):
    """Command group with a default: `phyt2v runs FOLDER` is short for `phyt2v runs list FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ListsByDefault, help="List runs (`phyt2v runs [FOLDER]`), or show one.")


@app.command(
    "list",
    epilog="""
[bold]Examples[/]

phyt2v runs

phyt2v runs batches/physics-1a2b3c4d --json

phyt2v runs --status failed --since 2d --prompt ball
""",
)
def list_runs(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            readable=False,  # checked later, with another exit code
            help="Where to look, three folders deep. (default: runs)",
            show_default=False,
        ),
    ] = None,
    wanted_status: Annotated[
        Literal["running", "interrupted", "failed", "complete", "unreadable"] | None,
        typer.Option("--status", help="Only runs of this status.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only runs that were last started since then: a date (UTC), or an age as in 2d, 3h or 30m.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="Only runs with this in their prompt.", show_default=False)
    ] = "",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """List the runs below a folder: status, rounds done, the result or else the run, and the prompt.

    The one that was started last is at the end. Runs without a time come first.

    A terminal gets a table; a pipe gets one line for each run, with tabs between.
    """
    from phyt2v_cli.runs.history.listing import Wanted, last_start, parse_since
    from phyt2v_cli.runs.reader import find_runs

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    wanted = Wanted(
        status=wanted_status,
        since=parse_since(since) if since is not None else None,
        prompt=prompt,
    )
    where = folder or DEFAULT_FOLDER
    is_new_here = folder is None and not where.exists()
    found = [] if is_new_here else [_read(path) for path in find_runs(where)]
    listed = sorted(
        (entry for entry in found if wanted.has(entry[1])), key=lambda entry: last_start(entry[1])
    )
    if as_json:
        runs = [_listed_as_json(path, run) for path, run in listed]
        console.json_object({"schema": "phyt2v.runs/1", "folder": str(where), "runs": runs})
        return
    if found and not listed:
        console.say(f"None of the {count(len(found), 'run')} below {where} is as asked for.")
        return
    if not listed:
        console.say(f"There is no run below {where}; `phyt2v refine` and `phyt2v batch` make some.")
        return
    rows = [_row(path, run) for path, run in listed]
    if not console.stdout().is_terminal:
        for row in rows:  # one line for each run, for other tools
            console.data("\t".join(" ".join(cell.split()) for cell in row))
    elif console.fits(_table([(status, rounds, path, "") for status, rounds, path, _ in rows])):
        console.data(_table(rows))
    else:
        for status, rounds, path, prompt in rows:  # a path stays whole, so that it can be copied
            console.data(Text.assemble(_styled(status), f"  {rounds}"))
            console.data(f"  {path}")
            console.data(Padding(console.one_line(prompt, "dim"), (0, 0, 0, 2), expand=False))


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v runs show runs/a-red-ball-drops-1a2b3c4d
"""
)
def show(
    run_dir: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.runs,
            readable=False,
            help="A run directory, your own or anybody's.",
            show_default=False,
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show one run: its plan, and each round's prompt, caption, scores and mismatch."""
    from phyt2v_cli.cli.views.run import run_as_json, run_text
    from phyt2v_cli.runs.reader import read_run

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    run = read_run(run_dir)
    if as_json:
        console.json_object(run_as_json(run))
    else:
        console.data(run_text(run), is_whole_in_pipes=True)


def _read(path: Path) -> "tuple[Path, ShownRun | RunDirError]":
    from phyt2v_cli.runs.reader import read_run

    try:
        return path, read_run(path)
    except RunDirError as error:
        return path, error


def _row(path: Path, run: "ShownRun | RunDirError") -> tuple[str, str, str, str]:
    """Row of a run: status, rounds, path of the result or else of the run, and prompt."""
    if isinstance(run, RunDirError):
        return "unreadable", "-", str(path), run.message
    rounds = f"{run.rounds_done()} of {len(run.record.plan)}"
    return run.record.status, rounds, str(run.result_video() or path), run.record.prompt[:_MAX_PROMPT_CHARS]


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("status", no_wrap=True)
    table.add_column("rounds", no_wrap=True)
    table.add_column("run", overflow="fold")
    for status, rounds, path, prompt in rows:
        lines = Group(console.safe(path), console.one_line(prompt, "dim"))
        table.add_row(_styled(status), rounds, lines)
    return table


def _styled(status: str) -> Text:
    return Text(status, _STYLES.get(status, "yellow"))


def _listed_as_json(path: Path, run: "ShownRun | RunDirError") -> dict[str, object]:
    named: dict[str, object] = {"name": path.name, "run_dir": str(path)}
    if isinstance(run, RunDirError):
        return named | {"status": "unreadable", "error": run.message, "hint": in_flags(run.hint) or None}
    video = run.result_video()
    return named | {
        "status": run.record.status,
        "rounds_done": run.rounds_done(),
        "rounds_planned": len(run.record.plan),
        "prompt": run.record.prompt,
        "seed": run.record.seed,
        "started": run.record.attempts[0].started if run.record.attempts else None,
        "finished": run.record.attempts[-1].finished if run.record.attempts else None,
        "result": str(video) if video is not None else None,
        "broken": list(run.broken),
    }
