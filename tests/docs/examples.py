"""Examples in pages of the docs, and how they are run."""

import re
import subprocess
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def examples_of(page: str, language: str) -> list[str]:
    """Examples of a page in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a command that says nothing on stderr; returns its stdout."""
    ended = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout
