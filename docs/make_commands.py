"""Write the command reference, docs/commands.md, from the command line itself.

    python docs/make_commands.py            # `make docs`
    python docs/make_commands.py --check    # ends with 1 if the page is not what the command line says

It walks the tree of commands that Typer makes, and reads no rendered help, which changes with the terminal.
Types and defaults come from the signatures of the functions, because the objects that Typer makes of them
name a type differently from one version to the next.
"""

import argparse
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import typer
from rich.text import Text

PAGE = Path(__file__).with_name("commands.md")
HEADING = """\
# Commands

Every command and option, as in `--help`. Made by `make docs` from the command line itself: do not edit.
"""
_TYPES = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def reference(app: typer.Typer) -> str:
    """Command reference of `app` as Markdown: every command that is not hidden, in the order of its help."""
    commands = list(_walk(typer.main.get_command(app), app.info.name))
    contents = [f"- [{path}](#{path.replace(' ', '-')}): {_summary(command)}" for path, command in commands]
    sections = [HEADING, "\n".join(contents), *sections_of(app).values()]
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def sections_of(app: typer.Typer) -> dict[str, str]:
    """Section of each command that is not hidden, as Markdown, by its path as in ``phyt2v runs list``."""
    commands = _walk(typer.main.get_command(app), app.info.name)
    return {path: _section(path, command) for path, command in commands}


def _walk(command: Any, path: str | None) -> Iterator[tuple[str, Any]]:
    """Path ("phyt2v runs list") and object of a command and of all below it."""
    path = path or command.name
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(child, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
    for parameter in shown:
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panels.setdefault(parameter.rich_help_panel or usual, []).append(parameter)
    function = inspect.unwrap(command.callback) if command.callback else None
    signature = inspect.signature(function, eval_str=True) if function else inspect.Signature()
    return "\n\n".join(
        [
            f"## {path}",
            f"```\n{_usage(path, command, shown)}\n```",
            *_paragraphs(command.help),
            *(
                "\n".join([f"**{name}**", "", *(_entry(parameter, signature) for parameter in panel)])
                for name, panel in panels.items()
                if panel
            ),
            *_epilog(command.epilog),
        ]
    )


def _usage(path: str, command: Any, shown: list[Any]) -> str:
    words = [path, *(["[OPTIONS]"] if any(p.param_type_name == "option" for p in shown) else [])]
    for parameter in shown:
        if parameter.param_type_name == "argument":
            name = parameter.metavar or parameter.name.upper()
            words.append(
                (name if parameter.required else f"[{name}]") + ("" if parameter.nargs == 1 else "...")
            )
    if hasattr(command, "commands"):
        words.append("COMMAND [ARGS]...")
    return " ".join(words)


def _entry(parameter: Any, signature: inspect.Signature) -> str:
    """One line of the list: names, type, help and default."""
    declared = signature.parameters.get(parameter.name)
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    else:
        kind = parameter.metavar if parameter.metavar is not None else _kind(parameter, declared)
        names = [", ".join(parameter.opts) + (f" {kind}" if kind else "")]
        if parameter.secondary_opts:
            names.append(", ".join(parameter.secondary_opts))
    text = " ".join(_plain(parameter.help or "").split()) + _default(parameter, declared)
    return f"- `{' / '.join(names)}`" + (f": {text.strip()}" if text else "")


def _kind(parameter: Any, declared: inspect.Parameter | None) -> str:
    if parameter.is_flag or declared is None:
        return ""
    annotation = declared.annotation
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return _type_name(annotation)


def _type_name(annotation: Any) -> str:
    arguments = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType, list):
        return "|".join(map(_type_name, arguments))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(member.value) for member in annotation)
    return _TYPES.get(annotation) or annotation.__name__.upper()


def _default(parameter: Any, declared: inspect.Parameter | None) -> str:
    if parameter.required:
        return "" if parameter.param_type_name == "argument" else " (required)"
    if declared is None or declared.default is None or not parameter.show_default:
        return ""
    default = declared.default
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    elif getattr(parameter, "is_flag", False):
        if not parameter.secondary_opts:
            return ""
        default = (parameter.opts if default else parameter.secondary_opts)[0]
    elif isinstance(default, Enum):
        default = default.value
    return f" (default: {default})"


def _summary(command: Any) -> str:
    return next(iter(_paragraphs(command.help)), "").split(". ")[0].rstrip(".").replace("\n", " ")


def _epilog(epilog: str | None) -> list[str]:
    """The epilog; the commands below the heading "Examples" are shown as such."""
    heading, *examples = _paragraphs(epilog) or [""]
    if heading == "Examples":
        return ["**Examples**", "```sh\n" + "\n".join(examples) + "\n```"]
    return _paragraphs(epilog)


def _paragraphs(text: str | None) -> list[str]:
    return [part.strip() for part in _plain(text or "").split("\n\n") if part.strip()]


def _plain(text: str) -> str:
    return Text.from_markup(inspect.cleandoc(text)).plain


def main() -> None:
    """Write the page, or compare it with what would be written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 if the page is not current"
    )
    arguments = parser.parse_args()

    from phyt2v_cli.cli.app import app

    page = reference(app)
    if not arguments.check:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.exit("docs/commands.md is not what the command line says: run `make docs`")


if __name__ == "__main__":
    main()
