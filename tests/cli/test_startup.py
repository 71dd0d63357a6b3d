"""The light commands stay light: what is in sys.modules decides how fast they start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.cli import commands
from phyt2v_cli.cli.app import COMMANDS, PACKAGES

HEAVY = ["torch", "diffusers", "transformers", "ray", "numpy", "scipy", "av", "jinja2"]
SCRIPT = f"""
import sys
from phyt2v_cli.cli.exit import run
try:
    run()
finally:
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    commands = [name for name in sys.modules if name.startswith("phyt2v_cli.cli.commands.")]
    loaded += [name for name in commands if name.count(".") == 4]  # without the packages
    print("loaded", loaded, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (["--help"], [name.replace("-", "_") for name in COMMANDS]),
        (["--version"], []),
        (["preview-schedule"], ["preview_schedule"]),
        (["refine", "--help"], ["refine"]),
        (["batch", "--help"], ["batch"]),
        (["runs"], ["runs"]),
        (["config", "show"], ["config"]),
        (["doctor", "--help"], ["doctor"]),
    ],
)
def test_light_commands_import_themselves_and_nothing_heavy(arguments: list[str], modules: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0
    package_of = {name.replace("-", "_"): package for package, names in PACKAGES.items() for name in names}
    loaded = [f"phyt2v_cli.cli.commands.{package_of[name]}.{name}" for name in modules]
    assert result.stderr.splitlines()[-1] == f"loaded {loaded}"


@pytest.mark.parametrize(
    ("line", "first"), [("refine --set sch", "schedule.kind="), ("init --preset moc", "mochi")]
)
def test_completion_loads_nothing_heavy(line: str, first: str) -> None:
    asked = {
        "_PHYT2V_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"phyt2v {line}",
    }
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | asked, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[0] == first
    assert not set(HEAVY) & set(re.findall(r"\w+", result.stderr.splitlines()[-1]))


def test_every_command_file_is_a_command() -> None:
    (folder,) = commands.__path__
    files = {(path.parent.name, path.stem) for path in Path(folder).glob("*/*.py")}
    named = {(package, name.replace("-", "_")) for package, names in PACKAGES.items() for name in names}
    assert {file for file in files if file[1] != "__init__"} == named
