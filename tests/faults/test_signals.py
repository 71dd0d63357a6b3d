"""Ctrl-C, SIGTERM and SIGHUP: stopped within two seconds, resumable, with the shells' exit codes."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.processes import (
    PHYT2V,
    QUICK,
    Doubled,
    Ended,
    default_signals,
    end,
    outcome,
    read_record,
    start,
    wait_until,
)
from tests.scripted_server import ScriptedServer, stall

LIMIT_S = 2.0


def stop_and_go_on(
    doubled: Doubled, path: Path, whole: Path, number: signal.Signals, script: dict[str, object], line: str
) -> Ended:
    """Send a signal when the log has `line`, check how the process ends, and finish the run."""
    process = doubled.start(*QUICK, "--out", path, script=script)
    doubled.wait_for(line)
    sent = time.monotonic()
    process.send_signal(number)
    stopped = end(process)
    assert time.monotonic() - sent < LIMIT_S
    assert stopped.code == 128 + number
    assert stopped.out == ""
    assert "stopping soon; once more to stop at once" in stopped.err
    assert f"phyt2v refine --resume {path}" in stopped.err.splitlines()[-1]
    assert read_record(path, "run.json")["status"] == "interrupted"
    resumed = doubled.run("refine", "--resume", path)
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    record = read_record(path, "run.json")
    assert (record["status"], record["analysis"] is not None) == ("complete", True)
    assert outcome(path) == outcome(whole)
    return stopped


PLACES = [
    ({"step_s": 0.3}, "step:2"),  # stops by itself, after the step
    ({"hang": "load:1"}, "load:1 hangs"),
    ({"hang": "analysis:1"}, "analysis:1 hangs"),
    ({"hang": "decode:2"}, "decode:2 hangs"),
]


@pytest.mark.parametrize(("script", "line"), PLACES, ids=[line for _, line in PLACES])
def test_fault_09_one_ctrl_c(
    script: dict[str, object], line: str, tmp_path: Path, doubled: Doubled, doubled_whole: Path
) -> None:
    stop_and_go_on(doubled, tmp_path / "run", doubled_whole, signal.SIGINT, script, line)
    if line == "decode:2 hangs":
        assert doubled.count("denoise") == 2  # none was done again


def test_fault_09_a_second_ctrl_c_ends_at_once(tmp_path: Path, doubled: Doubled) -> None:
    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"hang": "caption:1"})
    doubled.wait_for("caption:1 hangs")
    assert process.stderr is not None
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    while "stopping soon" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert end(process).code == 130
    assert time.monotonic() - sent < 0.5
    assert doubled.run("refine", "--resume", tmp_path / "run").code == 0


def test_fault_09_while_a_server_is_silent(tmp_path: Path, doubled: Doubled) -> None:
    with ScriptedServer(stall) as server:
        settings = (f"llm.base_url={server.url}", "llm.model=x", "llm.backend=openai")
        judge = [word for setting in settings for word in ("--set", setting)]
        process = doubled.start(*QUICK, *judge, "--out", tmp_path / "run", script={"real_judges": True})
        wait_until(lambda: server.requests, "a request", 30)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert end(process).code == 130
        assert time.monotonic() - sent < LIMIT_S


def test_fault_10_sigterm(tmp_path: Path, doubled: Doubled, doubled_whole: Path) -> None:
    stop_and_go_on(doubled, tmp_path / "run", doubled_whole, signal.SIGTERM, *PLACES[0])


def test_fault_11_sighup(tmp_path: Path, doubled: Doubled, doubled_whole: Path) -> None:
    stop_and_go_on(doubled, tmp_path / "run", doubled_whole, signal.SIGHUP, *PLACES[0])


def test_fault_11_under_nohup_a_hangup_changes_nothing(tmp_path: Path, doubled: Doubled) -> None:
    def nohup() -> None:
        default_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"step_s": 0.1}, preexec_fn=nohup)
    doubled.wait_for("step:1")
    process.send_signal(signal.SIGHUP)
    assert end(process).code == 0


@pytest.mark.parametrize("place", ["loading", "rendering"])
def test_fault_09_one_ctrl_c_on_the_embedded_model(place: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [*PHYT2V, *QUICK[:-1], "1000", "--out", str(path)]
    process = start(command, {**os.environ, "OMP_NUM_THREADS": "1"})
    if place == "loading":
        wait_until(
            lambda: (path / "run.json").exists() and read_record(path, "run.json")["analysis"], place, 60
        )
        time.sleep(0.7)
    else:
        wait_until((path / "round2.json").exists, place, 60)
        time.sleep(0.3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    stopped = end(process)
    assert time.monotonic() - sent < LIMIT_S
    assert stopped.code == 130
    assert f"phyt2v refine --resume {path}" in stopped.err
    assert read_record(path, "run.json")["status"] == "interrupted"
    assert (path / "output1.mp4").exists() == (place == "rendering")
