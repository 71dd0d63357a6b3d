"""`phyt2v compare`: several runs beside each other, as a table, and as a page with a clip."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import UsageError

if TYPE_CHECKING:
    from phyt2v_cli.events import Notice

EXAMPLES = """
[bold]Examples[/]

phyt2v compare runs/a-red-ball-drops-1a2b3c4d runs/a-red-ball-drops-5e6f7a8b

phyt2v compare ball-seed-1 ball-seed-2 ball-seed-3 --out comparison
"""


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            autocompletion=completion.runs,
            readable=False,  # checked later, with another exit code
            help="Run directories, your own or anybody's; or how their names begin.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            readable=False,
            help="A folder for compare.html and compare.mp4, the results side by side in step.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Compare runs: the settings in which they differ, their prompts, and the scores of their results.

    Only results are compared, which are finals; what makes their scores hard to compare is said below.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    from phyt2v_cli.cli.views.comparison import comparison_as_json, comparison_text
    from phyt2v_cli.report.comparison.page import write_comparison
    from phyt2v_cli.report.comparison.runs import MAX_RUNS, compare
    from phyt2v_cli.runs.history.names import run_by_name
    from phyt2v_cli.runs.reader import read_run

    paths = [run_by_name(path) for path in runs]
    if not 2 <= len({path.absolute() for path in paths}) == len(paths) <= MAX_RUNS:
        raise UsageError(f"2 to {MAX_RUNS} different runs can be compared", "`phyt2v runs` lists them.")
    comparison = compare([read_run(path) for path in paths])
    written = None if out is None else write_comparison(comparison, out, _tell)
    if as_json:
        console.json_object(comparison_as_json(comparison, written))
    else:
        console.data(comparison_text(comparison, console.data_width()), is_whole_in_pipes=True)
    if written is not None:
        for name, path in (("Page", written.page), ("Clip", written.clip)):
            if path is not None:
                console.say(f"{name}: {path}")


def _tell(notice: "Notice") -> None:
    console.warn(notice.text, in_flags(notice.hint))
