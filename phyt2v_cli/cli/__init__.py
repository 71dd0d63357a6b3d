"""The command line: one file for each command, and here what all of them share: how a process ends.

Commands are imported to be listed, so each keeps its heavy imports inside its function.
"""

import sys
from typing import Annotated

import typer

from phyt2v_cli import __version__
from phyt2v_cli.cli import config, console, generate, preview_schedule, refine
from phyt2v_cli.cli.signals import exit_on_termination
from phyt2v_cli.errors import Phyt2vError

app = typer.Typer(
    name="phyt2v",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("refine", epilog=refine.EXAMPLES)(refine.refine)
app.command("generate", epilog=generate.EXAMPLES)(generate.generate)
app.command("preview-schedule", epilog=preview_schedule.EXAMPLES)(preview_schedule.preview_schedule)
app.add_typer(config.app, name="config")


@app.callback(epilog="Start here: [cyan]phyt2v preview-schedule[/], then [cyan]phyt2v refine prompt.txt[/].")
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Make text-to-video models obey physics.

    Each round renders the prompt, looks at the video and rewrites the prompt. Early rounds are quick drafts.
    """


def run() -> None:
    """Run the command line and end the process with the exit code that the outcome means."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Bars in an ASCII locale and file names that are no text must not end a run.
            reconfigure(errors="backslashreplace")
    exit_on_termination()
    if sys.argv[1:] == ["--version"]:
        console.data(f"phyt2v {__version__}")
        sys.exit(0)
    sys.exit(_exit_code())


def _exit_code() -> int:
    stdout = sys.stdout
    try:
        try:
            app(prog_name="phyt2v")
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
            if sys.stdout is not stdout:  # Typer replaces it when the pipe is closed
                return console.CLOSED_PIPE_EXIT_CODE
        sys.stdout.flush()
    except Phyt2vError as error:
        console.error(str(error))
        code = error.exit_code
    except BrokenPipeError:
        console.hush_stdout()
        return console.CLOSED_PIPE_EXIT_CODE
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        hint = "" if console.is_verbose() else "; --verbose shows where"
        console.error(f"unexpected {type(error).__name__}: {first_line}{hint}")
        code = 1
    return code
