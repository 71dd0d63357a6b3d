"""`phyt2v stop`: end a run that works in another terminal."""

from typing import Annotated

import typer

from phyt2v_cli.cli import console, options
from phyt2v_cli.cli.running import options as running

EXAMPLES = """
[bold]Examples[/]

phyt2v stop runs/cube

phyt2v stop runs/cube --keep-final
"""


def stop(
    run_dir: running.RunToGoOnWith,
    keep_final: Annotated[
        bool,
        typer.Option(
            "--keep-final",
            help="Let the round that is under way end, and then render the final.",
            metavar="",
        ),
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Stop a run that works elsewhere, on another machine too: it can be resumed.

    The request is a file in the run directory, which the run looks at between its steps.
    """
    from phyt2v_cli.runs.history.names import run_by_name
    from phyt2v_cli.runs.stopping import request_stop

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    path = run_by_name(run_dir)
    request_stop(path, "final" if keep_final else "now")
    console.say(
        f"{path}: the final comes after the round that is under way."
        if keep_final
        else f"{path}: asked to stop, which it does at its next step."
    )
    if as_json:
        console.json_object(
            {"schema": "phyt2v.stop/1", "run_dir": str(path), "request": "final" if keep_final else "now"}
        )
