"""`phyt2v extend`: further rounds of a complete run."""

import re
from typing import Annotated

import typer

from phyt2v_cli.cli import console, options
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.running import options as running
from phyt2v_cli.errors import UsageError

EXAMPLES = """
[bold]Examples[/]

phyt2v extend runs/cube --rounds +2

phyt2v extend runs/cube --rounds 6
"""


def extend(
    run_dir: running.RunToGoOnWith,
    rounds: Annotated[
        str,
        typer.Option(
            "--rounds",
            metavar="+N|N",
            help="How many more, as in +2; or how many refinements in all, which may be repeated in scripts.",
            show_default=False,
        ),
    ],
    trust: running.Trust = False,
    profile: options.Profile = None,
    events: running.Events = None,
    log_level: running.LogLevel = "info",
    log_file: running.LogFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Add rounds to a complete run: drafts like its last ones, then a final.

    The last video is compared with the prompt first, and its prompt rewritten. All videos that are there keep
    their names. The path of the new result is printed on stdout.
    """
    from phyt2v_cli.checks.resuming import open_run
    from phyt2v_cli.cli.running.refining import Going, complete
    from phyt2v_cli.runs import steering
    from phyt2v_cli.runs.history.names import run_by_name

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    journal.begin(events=events, log_file=log_file, log_level=log_level, as_json=as_json)
    if not re.fullmatch(r"\+?[0-9]{1,6}", rounds):
        raise UsageError(f"--rounds: {rounds!r:.40} is neither +N nor a number")
    number = int(rounds)
    with open_run(run_by_name(run_dir), trust=trust) as run:
        if rounds.startswith("+"):
            steering.extend(run, number)
        else:
            steering.extend_to(run, number)
        complete(run, Going(profile, as_json))
