"""docs/checklist.md: each row names a test that is there; and tests of rows that have no better place."""

import re
from pathlib import Path

import pytest
import typer

from phyt2v_cli.cli.app import COMMANDS, app
from tests.command_line import CommandLine

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checklist.md").read_text(encoding="utf-8")
NO_OBJECTS = {"schema", "prompts", "init", "export"}
"""Commands that print JSON in any case, a text, a path, or a table of many rows."""
ROWS = re.findall(r"^\| ([0-9]+) \|.*\| `(tests/[\w/]+\.py)::(\w+)` \|$", PAGE, re.MULTILINE)


def leaves(name: str) -> list[object]:
    """The commands below a name, or itself."""
    command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined,arg-type]
    return list(getattr(command, "commands", {}).values()) or [command]


def test_there_is_a_row_for_each_check() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 35))


@pytest.mark.parametrize(("file", "test"), [row[1:] for row in ROWS])
def test_each_named_test_is_there(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_a_result_has_json(name: str) -> None:
    for command in leaves(name):
        options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
        assert "--json" in options or command.name in NO_OBJECTS, command.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples(name: str) -> None:
    for command in leaves(name):
        assert "phyt2v " in (command.epilog or ""), command.name  # type: ignore[attr-defined]


def test_paths_with_spaces_and_dashes(phyt2v: CommandLine, tmp_path: Path) -> None:
    for name in ("-odd name.txt", "plain ünïcode 球.txt"):
        (tmp_path / name).write_text("a ball drops\n")
        outcome = phyt2v("refine", "--dry-run", "--out", f"run of {name}", "--", name)
        assert outcome.code == 0, outcome.err
        assert f"run of {name}" in outcome.err
