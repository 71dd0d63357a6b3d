"""Ctrl-C, SIGTERM and SIGHUP: stopped within two seconds, resumable, with the shells' exit codes."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.processes import (
    PHYT2V,
    QUICK,
    REFINE_EMBEDDED,
    STOPPING,
    Doubled,
    Ended,
    default_signals,
    end,
    outcome,
    read_record,
    read_until,
    start,
    wait_until,
)
from tests.scripted_server import ScriptedServer, stall

LIMIT_S = 2.0

each_signal = pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)


def stop(process: "subprocess.Popen[str]", number: signal.Signals) -> Ended:
    """Send a signal and check how the process ends."""
    sent = time.monotonic()
    process.send_signal(number)
    stopped = end(process)
    assert time.monotonic() - sent < LIMIT_S
    assert (stopped.code, stopped.out) == (128 + number, "")
    return stopped


def stop_run(process: "subprocess.Popen[str]", number: signal.Signals, path: Path) -> None:
    """Send a signal to a refine in `path`, which must say how to go on and leave a run that can."""
    stopped = stop(process, number)
    assert "stopping soon; once more to stop at once" in stopped.err
    assert f"phyt2v refine --resume {path}" in stopped.err.splitlines()[-1]
    assert read_record(path, "run.json")["status"] == "interrupted"


PLACES = [
    ({"step_s": 0.3}, "step:2"),  # stops by itself, after the step
    ({"hang": "load:1"}, "load:1 hangs"),
    ({"hang": "analysis:1"}, "analysis:1 hangs"),
    ({"hang": "decode:2"}, "decode:2 hangs"),
]


@each_signal
@pytest.mark.parametrize(("script", "line"), PLACES, ids=[line for _, line in PLACES])
def test_fault_09_10_11_one_signal(
    script: dict[str, object],
    line: str,
    number: signal.Signals,
    tmp_path: Path,
    doubled: Doubled,
    doubled_whole: Path,
) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script=script)
    doubled.wait_for(line)
    stop_run(process, number, path)
    resumed = doubled.run("refine", "--resume", path)
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert outcome(path) == outcome(doubled_whole)
    if line == "decode:2 hangs":
        assert doubled.count("denoise") == 2  # none was done again


@each_signal
def test_fault_09_10_11_a_second_signal_ends_at_once(
    number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"hang": "caption:1"})
    doubled.wait_for("caption:1 hangs")
    sent = time.monotonic()
    process.send_signal(number)
    read_until(process, "stopping soon")
    process.send_signal(number)
    assert end(process).code == 128 + number
    assert time.monotonic() - sent < 0.5
    assert doubled.run("refine", "--resume", tmp_path / "run").code == 0


@each_signal
def test_fault_09_10_11_while_a_server_is_silent(
    number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    with ScriptedServer(stall) as server:
        settings = (f"llm.base_url={server.url}", "llm.model=x", "llm.backend=openai")
        judge = [word for setting in settings for word in ("--set", setting)]
        process = doubled.start(*QUICK, *judge, "--out", tmp_path / "run", script={"real_judges": True})
        wait_until(lambda: server.requests, "a request", 30)
        stop_run(process, number, tmp_path / "run")


@each_signal
def test_fault_09_10_11_while_a_single_video_is_rendered(
    number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    generate = ("generate", "--prompt", "a ball", "--steps", "6", "--out", tmp_path / "a.mp4")
    process = doubled.start(*generate, script={"step_s": 0.3})
    doubled.wait_for("step:2")
    stopped = stop(process, number)
    assert "stopping soon; once more to stop at once" in stopped.err
    assert stopped.err.endswith("The same command starts again, or goes on from finished latents.\n")
    assert list(tmp_path.iterdir()) == [doubled.log_path]
    again = doubled.run(*generate)
    assert (again.code, again.out) == (0, f"{tmp_path}/a.mp4\n")


@each_signal
@pytest.mark.parametrize("hang", ["caption:2", None])
def test_fault_09_10_11_while_the_control_is_denoised_beside_the_judges(
    hang: str | None, number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    path, whole = tmp_path / "run", tmp_path / "whole"
    process = doubled.start(
        *QUICK, "--control", "--out", path, script={"ahead": True, "step_s": 0.2, "hang": hang}
    )
    doubled.wait_for("step:11")  # the second one of the control
    stop_run(process, number, path)
    resumed = doubled.run("refine", "--resume", path, script={"ahead": True})
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert doubled.count("denoise") == 4, "the control again, and nothing else"
    assert doubled.run(*QUICK, "--control", "--out", whole).code == 0
    assert outcome(path) == outcome(whole)


def test_a_control_that_nobody_waits_for_does_not_hold_up_the_end(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    command = (*QUICK, "--control", "--out", path)
    assert doubled.run(*command).code == 0
    (path / "output2.mp4").unlink()  # the final is rendered again, and its control begun, which is there
    again = end(doubled.start(*command, script={"ahead": True, "hang": "denoise:2"}), timeout_s=60)
    assert (again.code, again.out) == (0, f"{path}/output2.mp4\n")
    assert "denoise:2 hangs" in doubled.calls()


def test_fault_11_under_nohup_a_hangup_changes_nothing(tmp_path: Path, doubled: Doubled) -> None:
    def nohup() -> None:
        default_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"step_s": 0.1}, preexec_fn=nohup)
    doubled.wait_for("step:1")
    process.send_signal(signal.SIGHUP)
    assert end(process).code == 0


def test_fault_09_while_the_embedded_model_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start([*PHYT2V, *QUICK, "--out", str(path)])
    wait_until(
        lambda: (path / "run.json").exists() and read_record(path, "run.json")["analysis"], "loading", 60
    )
    time.sleep(0.7)
    stop_run(process, signal.SIGINT, path)
    assert not list(path.glob("round*.json"))


@pytest.mark.slow
def test_fault_09_10_11_while_the_embedded_model_denoises(tmp_path: Path, embedded_whole: Path) -> None:
    path = tmp_path / "run"
    command = [*REFINE_EMBEDDED, "--out", str(path)]
    # A bar that shows each step, as on a terminal.
    bar = {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}
    for number in STOPPING:
        process = start(command, bar)
        read_until(process, r"denoising[^\r\n]* [1-9]/8 ", timeout_s=120)
        stop_run(process, number, path)
        assert "denoise" not in read_record(path, "round1.json")["seconds"]
        command = [*PHYT2V, "refine", "--resume", str(path)]
    resumed = end(start(command))
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert outcome(path) == outcome(embedded_whole)
