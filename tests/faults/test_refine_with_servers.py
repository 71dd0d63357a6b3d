"""`phyt2v refine` with every judge behind a server: good ones, bad ones, and one that is real."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.processes import PHYT2V, complete
from tests.scripted_server import (
    Behaviour,
    ScriptedServer,
    answer,
    answer_of_any_task,
    answer_with,
    drop,
    raw,
    status,
)
from tests.server_clients import KEY

GOOD = answer_with(answer_of_any_task, logprobs={"Yes": -1.0, "No": -0.5})


def refine(
    model_dir: Path, url: str, *more: str, cwd: Path, key: str = KEY
) -> subprocess.CompletedProcess[str]:
    settings = {
        "generator.num_frames": 9,
        "generator.height": 16,
        "generator.width": 16,
        "llm.max_retries": 0,
        "llm.prompt_token_price": 1,
        "llm.completion_token_price": 1,
        "captioner.num_frames": 2,
        "scorer.num_frames": 2,
        **{
            f"{role}.{name}": value
            for role in ("llm", "captioner", "scorer")
            for name, value in {"base_url": url, "model": "m", "api_key_env": "CANARY_KEY"}.items()
        },
    }
    assignments = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [*PHYT2V, "refine", "--prompt", "a ball", "--model", str(model_dir)]
    plan = ["--rounds", "1", "--min", "2", "--max", "3", "--out", "run"]
    environment = {**os.environ, "CANARY_KEY": key, "NO_PROXY": "127.0.0.1"}
    return complete([*command, *plan, *assignments, *more], environment, cwd=cwd)


def assert_no_canary(result: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert KEY not in result.stdout + result.stderr
    for path in folder.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_fault_28_44_a_wrong_key_and_then_a_good_one(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    with ScriptedServer(status(401, echo)) as server:
        failed = refine(tiny_cogvideox_dir, server.url, "--verbose", cwd=tmp_path)
        assert len(server.requests) == 1
    assert failed.returncode == 4
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "CANARY_KEY" in errors[0]
    assert "Round 1" not in failed.stderr
    assert_no_canary(failed, tmp_path)

    with ScriptedServer(GOOD) as server:
        done = refine(tiny_cogvideox_dir, server.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/output2.mp4\n"
    first = (tmp_path / "run" / "round1.json").read_text()
    assert '"openai:m"' in first
    assert '"caption": "It moves."' in first
    assert "P(yes) 0.38 from logprobs" in first
    assert '"refined_prompt": "a ball falls"' in first
    usage = json.loads((tmp_path / "run" / "run.json").read_text())["usage"]
    assert usage == {
        "requests": 3,
        "prompt_tokens": 30,
        "completion_tokens": 6,
        "cost": pytest.approx(36e-6),
    }
    assert_no_canary(done, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "num_requests", "what"),
    [
        (answer("It is gravity."), 2, "could not be used, twice"),
        (raw(b"<html>hello</html>", "text/html"), 1, "not OpenAI-compatible"),
        (drop, 1, "Is the server running"),
        (status(404), 1, "llm.model"),
    ],
)
def test_fault_33_no_usable_analysis_ends_before_anything_is_loaded(
    behaviour: Behaviour, num_requests: int, what: str, tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    with ScriptedServer(behaviour) as server:
        result = refine(tiny_cogvideox_dir, server.url, cwd=tmp_path)
        assert len(server.requests) == num_requests
    assert result.returncode == 4
    assert what in result.stderr
    assert "Traceback" not in result.stderr
    assert "Round 1" not in result.stderr
    assert '"status": "failed"' in (tmp_path / "run" / "run.json").read_text()
    assert not list(tmp_path.rglob("*.mp4"))
