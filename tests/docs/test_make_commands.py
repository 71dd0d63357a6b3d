"""The command reference is made from the commands, and from nothing else."""

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from docs import make_commands
from docs.make_commands import reference


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


app = typer.Typer(name="paint", rich_markup_mode="rich")
brushes = typer.Typer(help="Look after brushes.")
app.add_typer(brushes, name="brushes")


@app.command(epilog="\n[bold]Examples[/]\n\npaint wall.txt --coats 3\n\npaint - --size large\n")
def wall(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="What to paint.", show_default=False)],
    coats: Annotated[int, typer.Option("--coats", "-c", help="How [bold]often[/].")] = 2,
    size: Annotated[Size, typer.Option(rich_help_panel="Brush")] = Size.SMALL,
    finish: Annotated[Literal["matt", "gloss"] | None, typer.Option(help="How it shines.")] = None,
    colours: Annotated[list[Path] | None, typer.Option("--colour", help="A tin; may be repeated.")] = None,
    primer: Annotated[bool, typer.Option("--primer/--bare", help="Prime it.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Do not wait.")] = False,
    ladder_m: Annotated[float, typer.Option("--ladder", metavar="M", show_default="as needed")] = 0,
    old_name: Annotated[int | None, typer.Option("--old_name", hidden=True)] = None,
) -> None:
    """Paint a wall.

    It dries by itself.
    """


@brushes.command()
def clean(water: Annotated[float, typer.Option("--water")]) -> None:
    """Clean them. Then hang them up."""


@app.command(hidden=True)
def secret() -> None:
    """Nobody is told."""


PAGE = reference(app)
WALL = PAGE[PAGE.index("## paint wall") : PAGE.index("## paint brushes")]


def test_each_command_that_is_not_hidden_has_a_section_and_a_line_in_the_contents() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings == ["paint", "paint wall", "paint brushes", "paint brushes clean"]
    assert "- [paint brushes](#paint-brushes): Look after brushes\n" in PAGE
    assert "- [paint brushes clean](#paint-brushes-clean): Clean them\n" in PAGE


def test_a_section_says_all_that_the_help_does() -> None:
    assert (
        WALL
        == """\
## paint wall

```
paint wall [OPTIONS] FILE...
```

Paint a wall.

It dries by itself.

**Arguments**

- `FILE`: What to paint.

**Options**

- `--coats, -c INTEGER`: How often. (default: 2)
- `--finish matt|gloss`: How it shines.
- `--colour PATH`: A tin; may be repeated.
- `--primer / --bare`: Prime it. (default: --primer)
- `--quick`: Do not wait.
- `--ladder M`: (default: as needed)

**Brush**

- `--size small|large`: (default: small)

**Examples**

```sh
paint wall.txt --coats 3
paint - --size large
```

"""
    )


def test_a_group_and_a_required_option_are_shown_as_such() -> None:
    assert "```\npaint brushes COMMAND [ARGS]...\n```" in PAGE
    assert "- `--water NUMBER`: (required)\n" in PAGE


def test_the_check_fails_with_what_to_do_until_the_page_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_commands, "PAGE", tmp_path / "commands.md")
    monkeypatch.setattr(sys, "argv", ["make_commands.py", "--check"])
    with pytest.raises(SystemExit, match="run `make docs`"):
        make_commands.main()
    make_commands.PAGE.write_text("an older page")
    with pytest.raises(SystemExit, match="run `make docs`"):
        make_commands.main()
    assert make_commands.PAGE.read_text() == "an older page"
    monkeypatch.setattr(sys, "argv", ["make_commands.py"])
    make_commands.main()
    monkeypatch.setattr(sys, "argv", ["make_commands.py", "--check"])
    make_commands.main()
    assert "## phyt2v refine\n" in make_commands.PAGE.read_text(encoding="utf-8")
