"""Write the man pages, docs/man/*.1, from the same sections as the command reference.

    python -m docs.make_man            # `make docs`
    python -m docs.make_man --check    # ends with 1 if a page is not what the command line says

It knows the few forms of Markdown that `make_commands.py` writes, and no command.
"""

import argparse
import re
import sys
from pathlib import Path

import typer

from docs.make_commands import sections_of

FOLDER = Path(__file__).with_name("man")


def man_pages(app: typer.Typer) -> dict[str, str]:
    """Man pages by file name, one for each command; that of phyt2v itself lists the others."""
    return {f"{path.replace(' ', '-')}.1": _page(path, text) for path, text in sections_of(app).items()}


def _page(path: str, text: str) -> str:
    name = path.replace(" ", "-")
    _, usage, *rest = re.split(r"\n\n", text.strip())
    first = next((part for part in rest if not part.startswith(("**", "```"))), path)
    summary = " ".join(first.split()).split(". ")[0].rstrip(".")
    lines = [
        f'.TH "{name.upper()}" "1" "" "phyt2v" "phyt2v"',
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(summary)}",
        ".SH SYNOPSIS",
        f".B {_escaped(usage.strip('`').strip())}",
        ".SH DESCRIPTION",
    ]
    for part in rest:
        lines += _part(part)
    return "\n".join([*lines, ".SH SEE ALSO", "phyt2v(1), and phyt2v COMMAND \\-\\-help"]) + "\n"


def _part(part: str) -> list[str]:
    """One paragraph, heading with its list, or example."""
    if part.startswith("```"):
        return [".nf", *(_escaped(line) for line in part.splitlines()[1:-1]), ".fi"]
    if heading := re.fullmatch(r"\*\*(.+?)\*\*", part.splitlines()[0]):
        lines = [f".SH {_escaped(heading[1].upper())}"]
        return lines + [line for below in part.splitlines()[1:] for line in _part(below)]
    if part.startswith("- "):
        return [line for entry in part.splitlines() for line in _entry(entry)]
    return [".PP", *(_escaped(line) for line in part.splitlines())]


def _entry(line: str) -> list[str]:
    """One argument or option: its names, then its help."""
    names, text = re.fullmatch(r"- `(.+?)`(?:: (.*))?", line).groups()  # type: ignore[union-attr]
    return [".TP", f".B {_escaped(names)}", _escaped(text or "")]


def _escaped(text: str) -> str:
    """Text for roff: no line of it is a request, and hyphens can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


def main() -> None:
    """Write the pages, or compare them with what would be written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a page is old")
    arguments = parser.parse_args()

    from phyt2v_cli.cli.app import app

    pages = man_pages(app)
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")}
    if arguments.check and there != pages:
        sys.exit("docs/man is not what the command line says: run `make docs`")
    if not arguments.check:
        FOLDER.mkdir(exist_ok=True)
        for name in there.keys() - pages.keys():
            (FOLDER / name).unlink()
        for name, page in pages.items():
            (FOLDER / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
