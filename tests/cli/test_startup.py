"""The light commands stay light: what is in sys.modules decides how fast they start."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "diffusers", "transformers", "ray", "numpy", "scipy", "imageio", "av", "jinja2"]
SCRIPT = f"""
import sys
from phyt2v_cli.cli.exit import run
try:
    run()
finally:
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print("loaded", loaded, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["preview-schedule"],
        ["refine", "--help"],
        ["batch", "--help"],
        ["runs"],
        ["config", "show"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0
    assert result.stderr.splitlines()[-1] == "loaded []"
