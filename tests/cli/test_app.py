"""The help of commands on terminals of several widths."""

from itertools import pairwise

import pytest

from phyt2v_cli.cli.app import COMMANDS
from tests.command_line import CommandLine

NESTED = (("runs", "list"), ("runs", "export"), ("config", "prompts"))


@pytest.mark.parametrize("columns", [60, 80])
def test_paragraphs_of_the_help_fill_each_line(
    columns: int, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in ((), *((name,) for name in COMMANDS), *NESTED):
        prose = phyt2v(*words, "--help").out.partition("╭")[0]
        assert prose.count("\n") > 3
        lines = [line.strip() for line in prose.splitlines()]
        for line, following in pairwise(lines):
            broken_early = line and following and len(f" {line} {following.split()[0]} ") <= columns
            assert not broken_early, f"{' '.join(words)}: {line!r} is followed by {following!r}"
