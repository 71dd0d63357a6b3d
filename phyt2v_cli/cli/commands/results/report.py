"""`phyt2v report`: HTML page of a run directory, summary and page of a prompt set, or index of many runs."""

from pathlib import Path
from typing import Annotated

import typer

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.errors import UsageError
from phyt2v_cli.quantities import mebibytes

EXAMPLES = """
[bold]Examples[/]

phyt2v report runs/a-red-ball-drops-1a2b3c4d

phyt2v report batches/physics-1a2b3c4d --category physical_laws

phyt2v report runs --open
"""

LARGE_BYTES = 50 * 2**20


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            autocompletion=completion.sets_and_runs,
            readable=False,  # checked later, with another exit code
            help="A run directory, the folder of a set or of runs, your own or anybody's; or how its "
            "name begins.",
            show_default=False,
        ),
    ],
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            metavar="COLUMN",
            help="Of a set: a column whose values its figures are given for; repeatable. (default: the usual "
            "ones, such as category, main_category, dimension, physical_laws)",
            show_default=False,
        ),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Of a set: also write the page of each of its runs.", metavar="")
    ] = False,
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Of a run: put the videos into the page, to send one file.", metavar=""),
    ] = False,
    opens: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser, on a terminal.", metavar="")
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Write report.html into a run directory: its result, and each round's video, prompt, caption and scores.

    In the folder of a prompt set it shows SA and PC by round, gains with intervals and the largest changes;
    summary.csv and summary.json are written too, of all shards. In a folder of runs it writes index.html: all
    of them, with links to their pages.

    The page needs no network; its only script plays videos in step. Its path is printed on stdout.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.sets.history import run_or_set_by_name
    from phyt2v_cli.sets.index import has_runs, write_index
    from phyt2v_cli.sets.manifest import has_manifest

    folder = run_or_set_by_name(folder)
    told: dict[str, object] = {"schema": "phyt2v.report/1"}
    is_set = not (folder / "run.json").exists() and has_manifest(folder)
    has_several = not is_set and has_runs(folder)
    if embed and (is_set or has_several):
        raise UsageError("--embed concerns a run", f"{folder} is the folder of several.")
    if is_set:
        from phyt2v_cli.sets.summary.report import write_set_report

        written = write_set_report(folder, category_columns=categories or (), each=each)
        path = written.page
        told |= {"report": str(path), "summary_csv": str(written.csv), "summary_json": str(written.json)}
    elif categories or each:
        raise UsageError("--category and --each concern a prompt set", f"{folder} is not the folder of one.")
    elif has_several:
        path = write_index(folder)
        told |= {"report": str(path)}
    else:
        from phyt2v_cli.report.page import write_report

        path = write_report(folder, embed=embed)
        told |= {"report": str(path)}
    if embed and (size := path.stat().st_size) > LARGE_BYTES:
        console.warn(f"{path} has {mebibytes(size)}: browsers and mail may refuse that")
    if opens and console.stdout().is_terminal:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())
    if as_json:
        console.json_object(told)
    else:
        console.data(str(path))
