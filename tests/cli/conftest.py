"""State of the console, which each command line sets anew."""

import pytest

from phyt2v_cli.cli import console


@pytest.fixture(autouse=True)
def _console_as_new() -> None:
    """No test is quiet because a command of another one was."""
    console.expect([])
