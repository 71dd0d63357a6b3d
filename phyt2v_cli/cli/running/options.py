"""Options of commands that resume a run, declared once: which run, and what becomes of its prompts."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from phyt2v_cli.cli import completion, options

_STEERING = "Steering"

RunToGoOnWith = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        autocompletion=completion.runs,
        readable=False,  # checked later, with another exit code
        help="A run directory.",
        show_default=False,
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Let the config of a resumed run start its programs and reach its servers.",
        metavar="",
        rich_help_panel="Checks",
    ),
]
Approve = Annotated[
    bool,
    typer.Option(
        "--approve",
        help="Ask before each rewritten prompt is rendered: take, edit or keep, or go to the final.",
        rich_help_panel=_STEERING,
        metavar="",
    ),
]
StopAfter = Annotated[
    Literal["rewrite"] | None,
    typer.Option(
        "--stop-after",
        help="Stop after the next rewritten prompt, and print it in place of a video; --resume continues.",
        rich_help_panel=_STEERING,
        show_default=False,
    ),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(
        "--max-seconds",
        metavar="S",
        help="Be done after about this time: drafts get fewer steps, then are left out; the final is kept.",
        rich_help_panel=_STEERING,
        show_default=False,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="N",
        help="The same for what the run costs, by llm.prompt_token_price, llm.completion_token_price and "
        "run.price_per_hour.",
        rich_help_panel=_STEERING,
        show_default=False,
    ),
]
NewPrompt = Annotated[
    str | None,
    typer.Option(
        "--prompt-file",
        metavar="FILE",
        help="With --resume: the next prompt, in place of the rewritten one (or --prompt TEXT).",
        rich_help_panel=_STEERING,
        show_default=False,
    ),
]

Events = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE|-",
        help="Write what happens as lines of JSON, for programs; - is stdout, in place of the result's path.",
        rich_help_panel=options.OUTPUT,
        show_default=False,
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option(
        "--log-level", help="What the logs have, here and in RUN/logs/.", rich_help_panel=options.OUTPUT
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        readable=False,
        help="A log of the whole command, besides that of each run.",
        rich_help_panel=options.OUTPUT,
        show_default=False,
    ),
]


def read_new_prompt(file: str | None, text: str | None) -> str | None:
    """Read the next prompt of a run, from --prompt-file or --prompt; None if neither is given."""
    return None if file is None and text is None else options.read_prompt(file, text)
