"""The commands under their names.

Commands are imported to be listed, so each keeps its heavy imports inside its function.
"""

from typing import Annotated

import typer

from phyt2v_cli import __version__
from phyt2v_cli.cli import console
from phyt2v_cli.cli.commands import batch, config, doctor, generate, preview_schedule, refine, report, runs

app = typer.Typer(
    name="phyt2v",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("refine", epilog=refine.EXAMPLES)(refine.refine)
app.command("batch", epilog=batch.EXAMPLES)(batch.batch)
app.command("generate", epilog=generate.EXAMPLES)(generate.generate)
app.command("preview-schedule", epilog=preview_schedule.EXAMPLES)(preview_schedule.preview_schedule)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(runs.app, name="runs")
app.add_typer(config.app, name="config")


def _show_version(wanted: bool) -> None:
    if wanted:
        console.data(f"phyt2v {__version__}")
        raise typer.Exit


@app.callback(epilog="Start here: [cyan]phyt2v preview-schedule[/], then [cyan]phyt2v refine prompt.txt[/].")
def _main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version, metavar=""
        ),
    ] = False,
) -> None:
    """Make text-to-video models obey physics.

    Each round renders the prompt, looks at the video and rewrites the prompt. Early rounds are quick drafts.
    """
