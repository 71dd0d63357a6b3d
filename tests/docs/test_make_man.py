"""Man pages: one for each command, with all that the reference says, and no line that roff would obey."""

import re

import pytest

from docs.make_commands import sections_of
from docs.make_man import FOLDER, man_pages
from phyt2v_cli.cli.app import app

PAGES, SECTIONS = man_pages(app), sections_of(app)
REQUESTS = {".TH", ".SH", ".TP", ".B", ".PP", ".nf", ".fi"}


def test_the_pages_are_those_of_the_command_line() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")} == PAGES
    assert "phyt2v-refine.1" in PAGES


@pytest.mark.parametrize("path", SECTIONS)
def test_each_argument_and_option_has_its_entry(path: str) -> None:
    page = PAGES[f"{path.replace(' ', '-')}.1"]
    entries = re.findall(r"^- `", SECTIONS[path], re.MULTILINE)
    assert page.count("\n.TP\n") == len(entries)
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= REQUESTS
