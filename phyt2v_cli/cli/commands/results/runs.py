"""`phyt2v runs`: list and show run directories, anybody's. Read-only; their text is shown literally."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.errors import FilesError, UsageError
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.cli.views.history import Read
    from phyt2v_cli.sets.history import ShownSet


class _ListsByDefault(TyperGroup):
    """Command group with a default: `phyt2v runs FOLDER` is short for `phyt2v runs list FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing and not args:  # a shell asks what may come first
            return super().parse_args(ctx, args)
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete the name of a command, or an option of the default one."""
        if incomplete.startswith("-"):
            return self.commands["list"].shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete)


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
            help="Where to look, three folders deep. (default: runs and batches)",
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
    """List the runs and sets below a folder by time; the one that was started last is at the end.

    Each has its status, rounds, steps, scores of its result, seed, model and path. Runs of one prompt have
    the settings in which they differ. A set is one line; in its own folder, and with a filter, its runs are
    listed. Those without a time come first.

    A terminal gets a table; a pipe gets one line for each, with tabs between.
    """
    from phyt2v_cli.cli.views import history
    from phyt2v_cli.runs.history.listing import Wanted, parse_since
    from phyt2v_cli.runs.reader import ShownRun

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    wanted = Wanted(
        status=wanted_status,
        since=parse_since(since) if since is not None else None,
        prompt=prompt,
    )
    found = _find(folder, with_sets=wanted == Wanted())
    runs = [(path, run) for path, run in found if isinstance(run, ShownRun | FilesError) and wanted.has(run)]
    sets = [(path, entry) for path, entry in found if not isinstance(entry, ShownRun | FilesError)]
    listed: list[tuple[Path, Read]] = sorted([*runs, *sets], key=lambda entry: history.start_of(entry[1]))
    where = " and ".join(map(str, _folders(folder)))
    if as_json:
        console.json_object(history.list_as_json(where, listed))
    elif not listed and found:
        console.say(f"None of the {count(len(found), 'run')} below {where} is as asked for.")
    elif not listed:
        console.say(f"There is no run below {where}; `phyt2v refine` and `phyt2v batch` make some.")
    elif console.stdout().is_terminal:
        for line in history.lines(history.rows_of(listed), console.data_width()):
            console.data(line)
    else:
        for row in history.rows_of(listed):
            console.data(row.in_pipe())


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v runs show runs/a-red-ball-drops-1a2b3c4d

phyt2v runs show a-red-ball
"""
)
def show(
    run_dir: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.sets_and_runs,
            readable=False,
            help="A run directory or the folder of a set, your own or anybody's; or how its name begins.",
            show_default=False,
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show one run: its plan, and each round's prompt, caption, scores and mismatch. Or show one set."""
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.cli.views.run import run_as_json, run_text
    from phyt2v_cli.cli.views.set_shown import set_as_json, set_lines
    from phyt2v_cli.runs.history.names import is_run
    from phyt2v_cli.runs.reader import read_run
    from phyt2v_cli.sets.history import read_set, run_or_set_by_name
    from phyt2v_cli.sets.manifest import has_manifest

    path = run_or_set_by_name(run_dir)
    if not is_run(path) and has_manifest(path):
        found = read_set(path)
        if as_json:
            console.json_object(set_as_json(found))
        else:
            for line in set_lines(found, console.data_width()):
                console.data(line, is_whole_in_pipes=True)
        return
    run = read_run(path)
    if as_json:
        console.json_object(run_as_json(run))
    else:
        console.data(run_text(run), is_whole_in_pipes=True)


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v runs export --out runs.csv

phyt2v runs export batches/physics-1a2b3c4d --jsonl

phyt2v runs export runs --reference --out data_df.csv
"""
)
def export(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            autocompletion=completion.sets_and_runs,
            readable=False,  # checked later, with another exit code
            help="A run, a set, or a folder of some, three folders deep. (default: runs and batches)",
            show_default=False,
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV with a header; the default.", metavar="")
    ] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.", metavar="")] = False,
    as_reference: Annotated[
        bool,
        typer.Option(
            "--reference",
            help="One row a run, with the columns of data_df.csv of the reference implementation.",
            metavar="",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            readable=False,
            help="A new file to write. (default: stdout)",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.", metavar="")] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Export runs as a table: one row for each round, further candidate and control.

    In CSV, a text that a spreadsheet would take for a formula (it begins with =, +, - or @) has an apostrophe
    in front; JSON has all texts as they are. Runs that cannot be read are named on stderr and left out.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.files.atomic import replace_file
    from phyt2v_cli.runs.reader import ShownRun
    from phyt2v_cli.sets.export.rows import Format, lines_of
    from phyt2v_cli.sets.history import run_or_set_by_name

    wanted: list[Format] = []
    if as_csv:
        wanted.append("csv")
    if as_jsonl:
        wanted.append("jsonl")
    if as_reference:
        wanted.append("reference")
    if len(wanted) > 1:
        raise UsageError(
            "--csv, --jsonl and --reference are three forms of one table", "Ask for one of them."
        )
    found = _find(None if folder is None else run_or_set_by_name(folder), with_sets=False)
    for path, run in found:
        if isinstance(run, FilesError):
            console.warn(f"{path}: left out: {run.message}")
    runs = [run for _, run in found if isinstance(run, ShownRun)]
    lines = lines_of(runs, wanted[0] if wanted else "csv")
    if out is None:
        for line in lines:
            console.data(line.removesuffix("\n"))
        return
    with (
        replace_file(out, must_be_new=not force) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        file.writelines(lines)
    console.say(f"{count(len(runs), 'run')} in {out}")


def _folders(folder: Path | None) -> list[Path]:
    """Folders to look in: the one that is asked for, or those that are there of the usual ones."""
    from phyt2v_cli.runs.history.names import RUNS, SETS

    if folder is not None:
        return [folder]
    return [path for path in (RUNS, SETS) if path.exists()] or [RUNS]


def _find(folder: Path | None, *, with_sets: bool) -> "list[tuple[Path, Read]]":
    """Read the runs below the folders, and `with_sets` a set in place of each of its runs."""
    from phyt2v_cli.cli.views.history import read_run_in_list
    from phyt2v_cli.runs.reader import find_runs
    from phyt2v_cli.sets.history import find_sets_and_runs

    sets: list[Path] = []
    runs: list[Path] = []
    for where in _folders(folder):
        if folder is None and not where.exists():
            continue
        below, alone = find_sets_and_runs(where) if with_sets else ([], list(find_runs(where)))
        sets += below
        runs += alone
    return [*((path, read_run_in_list(path)) for path in runs), *((path, _read_set(path)) for path in sets)]


def _read_set(path: Path) -> "ShownSet | FilesError":
    from phyt2v_cli.sets.history import read_set

    try:
        return read_set(path)
    except FilesError as error:
        return error
