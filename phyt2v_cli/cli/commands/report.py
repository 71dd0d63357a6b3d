"""`phyt2v report`: HTML page of a run directory."""

from pathlib import Path
from typing import Annotated

import typer

from phyt2v_cli.cli import completion, console, options

EXAMPLES = """
[bold]Examples[/]

phyt2v report runs/a-red-ball-drops-1a2b3c4d
"""


def report(
    run_dir: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.runs,
            readable=False,  # checked later, with another exit code
            help="A run directory, your own or anybody's.",
            show_default=False,
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Write report.html into a run directory: videos, prompts with their changes, captions and scores.

    The page needs no network and runs no script. Its path is printed on stdout.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.report.page import write_report

    path = write_report(run_dir)
    if as_json:
        console.json_object({"schema": "phyt2v.report/1", "report": str(path)})
    else:
        console.data(str(path))
