"""The library changes nothing of its host's: neither when it is imported nor when it works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripted_server import ScriptedServer, answer_of_any_task, answer_with

ROOT = Path(__file__).parents[1]


def what_changes(*action: str | Path) -> object:
    """Return what `tests.host_process` finds; it must end by itself, and draw no progress."""
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.host_process", *map(str, action)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr
    assert "%|" not in ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.slow
def test_importing_all_of_it_changes_nothing() -> None:
    assert what_changes("import") == {}


@pytest.mark.slow
def test_a_run_changes_nothing(tmp_path: Path) -> None:
    with ScriptedServer(answer_with(answer_of_any_task)) as server:
        assert what_changes("refine", tmp_path / "run", server.url) == {}
    assert len(server.requests) == 3, "the analysis, the mismatch and the new prompt"


@pytest.mark.slow
def test_a_local_model_changes_nothing(tiny_llama_dir: Path) -> None:
    assert what_changes("chat", tiny_llama_dir) == {}
