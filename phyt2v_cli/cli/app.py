"""The commands under their names. A command's module is imported when the command is asked for.

Help imports all of them, so each keeps its heavy imports inside its function.
"""

import inspect
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from phyt2v_cli import __version__
from phyt2v_cli.cli import console, options
from phyt2v_cli.config.files import ISOLATED

PACKAGES = {
    "rendering": ("refine", "batch", "generate", "extend", "rerender", "stop", "preview-schedule"),
    "results": ("runs", "watch", "report", "compare", "export"),
    "setting_up": ("init", "config", "doctor", "calibrate"),
}
"""Commands by their package in `commands/`, both in the order of the help.

Each is a module with a function of that name and its EXAMPLES, or with an `app` if it has commands of its
own."""
PANELS = {"rendering": "Render", "results": "Look at results", "setting_up": "Set up"}
COMMANDS = tuple(name for names in PACKAGES.values() for name in names)


class _Commands(Mapping[str, Any]):
    """Typer's commands by name, made on demand: the others would take 6 % of a preview's time."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return _make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _make(name: str) -> Any:
    identifier = name.replace("-", "_")
    package = next(package for package, names in PACKAGES.items() if name in names)
    module = import_module(f"phyt2v_cli.cli.commands.{package}.{identifier}")
    parent = typer.Typer()
    if hasattr(module, "app"):
        parent.add_typer(module.app, name=name, rich_help_panel=PANELS[package])
    else:
        command = parent.command(name, epilog=module.EXAMPLES, rich_help_panel=PANELS[package])
        command(getattr(module, identifier))
    made = typer.main.get_group(parent).commands[name]
    _unwrap_help(made)
    return made


def _unwrap_help(command: Any) -> None:
    """Make each paragraph of the help one line, for a terminal of any width; Typer does the first only."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for nested in getattr(command, "commands", {}).values():
        _unwrap_help(nested)


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": _Commands()})


app = typer.Typer(
    name="phyt2v",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


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
    isolated: Annotated[
        bool,
        typer.Option(
            "--isolated",
            help=f"Leave out the user file and phyt2v.toml, as with {ISOLATED}=1.",
            metavar="",
            rich_help_panel="Configuration",
        ),
    ] = False,
    _quiet: options.Quiet = False,
    _verbose: options.Verbose = False,
    _no_color: options.NoColor = False,  # these three are read by `console.expect`
) -> None:
    """Make text-to-video models obey physics.

    Each round renders the prompt, looks at the video and rewrites the prompt. Early rounds are quick drafts.
    """
    if isolated:
        os.environ[ISOLATED] = "1"  # for the processes of a prompt set too
