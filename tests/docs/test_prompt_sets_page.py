"""The commands of docs/prompt-sets.md are ones that `phyt2v batch` takes, on columns that the sets have."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from phyt2v_cli.cli.app import app
from phyt2v_cli.sets.prompt_set import read_prompt_set
from phyt2v_cli.sets.selection import Selection

ROOT = Path(__file__).parents[2]
SETS = ROOT / "tests" / "data" / "sets"
PAGES = [ROOT / "docs" / "prompt-sets.md", ROOT / "README.md"]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", " ")
COMMANDS = sorted(set(re.findall(r"^(?:srun )?phyt2v batch ([^#>\n]*)", TEXT, re.MULTILINE)))
FIXTURES = {"prompts.json": "phygenbench_prompts.json"}


def options_of(command: str) -> dict[str, object]:
    words = shlex.split(command.replace("$SLURM_ARRAY_TASK_ID", "1"))
    batch = typer.main.get_command(app).get_command(None, "batch")  # type: ignore[attr-defined]
    options: dict[str, object] = batch.make_context("batch", words).params
    return options


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_batch_takes(command: str) -> None:
    options = options_of(command)
    names = ("prompt_column", "image_column", "where", "dedupe", "limit", "seeds", "shard")
    given = {name: value for name in names if (value := options[name])}
    selection = Selection.parse(**given)  # type: ignore[arg-type]
    file = SETS / FIXTURES.get(str(options["prompts"]), str(options["prompts"]))
    if file.exists():
        assert read_prompt_set(str(file), selection).entries


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 15
    assert sum((SETS / command.split()[0]).exists() for command in COMMANDS) > 8
