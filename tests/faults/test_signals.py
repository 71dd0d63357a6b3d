"""Ctrl-C, SIGTERM and SIGHUP: stopped, resumable, with the shells' exit codes.

How soon, is measured by benchmarks/stopping.py.
"""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import (
    EIGHT_STEPS,
    PHYT2V,
    QUICK,
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
    with_a_bar,
)
from tests.scripted_server import ScriptedServer, stall

FOR_EVER = 600
"""Seconds of grace: longer than any test waits, so that only what stops by itself ends in time."""

each_signal = pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
"""They have one handler: these tests show it for all, the others a place for one of them."""


def stop(
    process: "subprocess.Popen[str]", number: signal.Signals, once_heard: Callable[[], None] = lambda: None
) -> Ended:
    """Send a signal and check that the process hears it, and how it ends."""
    process.send_signal(number)
    read_until(process, "stopping soon; once more to stop at once")
    once_heard()
    stopped = end(process)
    assert (stopped.code, stopped.out) == (128 + number, "")
    return stopped


def stop_run(
    process: "subprocess.Popen[str]",
    number: signal.Signals,
    path: Path,
    once_heard: Callable[[], None] = lambda: None,
) -> None:
    """Send a signal to a refine in `path`, which must say how to go on and leave a run that can."""
    stopped = stop(process, number, once_heard)
    assert f"phyt2v refine --resume {path}" in stopped.err.splitlines()[-1]
    assert read_record(path, "run.json")["status"] == "interrupted"


def resume(path: Path, doubled: Doubled, whole: Path) -> None:
    """Finish a run, which must equal one that nothing happened to."""
    resumed = doubled.run("refine", "--resume", path)
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert outcome(path) == outcome(whole)


@pytest.mark.slow
@each_signal
def test_fault_09_10_11_between_two_steps(
    number: signal.Signals, tmp_path: Path, doubled: Doubled, doubled_whole: Path
) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": ["step:2"], "grace_s": FOR_EVER})
    doubled.wait_for("step:2 hangs")
    stop_run(process, number, path, lambda: doubled.let_go_on("step:2"))
    assert doubled.count("step") == 2
    resume(path, doubled, doubled_whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("load:1", signal.SIGTERM),
        pytest.param("analysis:1", signal.SIGHUP, marks=pytest.mark.slow),
        ("decode:2", signal.SIGINT),
    ],
)
def test_fault_09_10_11_in_the_middle_of(
    call: str, number: signal.Signals, tmp_path: Path, doubled: Doubled, doubled_whole: Path
) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": [call]})
    doubled.wait_for(f"{call} hangs")
    stop_run(process, number, path)
    resume(path, doubled, doubled_whole)
    if call == "decode:2":
        assert doubled.count("denoise") == 2  # none was done again


@each_signal
def test_fault_09_10_11_a_second_signal_ends_at_once(
    number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:1"], "grace_s": FOR_EVER})
    doubled.wait_for("caption:1 hangs")
    process.send_signal(number)
    read_until(process, "stopping soon")
    process.send_signal(number)
    assert end(process).code == 128 + number
    assert read_record(path, "run.json")["status"] == "running", "nothing more was done"
    assert doubled.run("refine", "--resume", path).code == 0


@pytest.mark.slow
def test_fault_09_while_a_server_is_silent(tmp_path: Path, doubled: Doubled) -> None:
    with ScriptedServer(stall) as server:
        settings = (f"llm.base_url={server.url}", "llm.model=x", "llm.backend=openai")
        judge = [word for setting in settings for word in ("--set", setting)]
        process = doubled.start(*QUICK, *judge, "--out", tmp_path / "run", script={"real_judges": True})
        wait_until(lambda: server.requests, "a request")
        stop_run(process, signal.SIGINT, tmp_path / "run")


@each_signal
def test_fault_09_10_11_while_a_single_video_is_rendered(
    number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    generate = ("generate", "--prompt", "a ball", "--steps", "6", "--out", tmp_path / "a.mp4")
    process = doubled.start(*generate, script={"hang": ["step:2"], "grace_s": FOR_EVER})
    doubled.wait_for("step:2 hangs")
    stopped = stop(process, number, lambda: doubled.let_go_on("step:2"))
    assert stopped.err.endswith("The same command starts again, or resumes from finished latents.\n")
    assert list(tmp_path.iterdir()) == [doubled.log_path]
    again = doubled.run(*generate)
    assert (again.code, again.out) == (0, f"{tmp_path}/a.mp4\n")


@pytest.mark.slow
@pytest.mark.parametrize(("judges_hang", "number"), [(True, signal.SIGINT), (False, signal.SIGTERM)])
def test_fault_09_10_11_while_the_control_is_denoised_beside_the_judges(
    judges_hang: bool, number: signal.Signals, tmp_path: Path, doubled: Doubled
) -> None:
    path, whole = tmp_path / "run", tmp_path / "whole"
    step = "step:11"  # the second one of the control
    script = {"hang": [step, "caption:2"]} if judges_hang else {"hang": [step], "grace_s": FOR_EVER}
    process = doubled.start(*QUICK, "--control", "--out", path, script={"ahead": True, **script})
    doubled.wait_for(f"{step} hangs")
    if judges_hang:
        doubled.wait_for("caption:2 hangs")
        stop_run(process, number, path)
    else:
        stop_run(process, number, path, lambda: doubled.let_go_on(step))
    resumed = doubled.run("refine", "--resume", path, script={"ahead": True})
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert doubled.count("denoise") == 4, "the control again, and nothing else"
    assert doubled.run(*QUICK, "--control", "--out", whole, script={"ahead": True}).code == 0
    assert outcome(path) == outcome(whole)


@pytest.mark.slow
def test_a_control_that_nobody_waits_for_does_not_hold_up_the_end(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    command = (*QUICK, "--control", "--out", path)
    assert doubled.run(*command).code == 0
    (path / "output2.mp4").unlink()  # the final is rendered again, and its control begun, which is there
    again = end(doubled.start(*command, script={"ahead": True, "hang": ["denoise:2"]}))
    assert (again.code, again.out) == (0, f"{path}/output2.mp4\n")
    assert "denoise:2 hangs" in doubled.calls()


@pytest.mark.slow
def test_fault_11_under_nohup_a_hangup_changes_nothing(tmp_path: Path, doubled: Doubled) -> None:
    def nohup() -> None:
        default_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"hang": ["step:1"]}, preexec_fn=nohup)
    doubled.wait_for("step:1 hangs")
    process.send_signal(signal.SIGHUP)
    doubled.let_go_on("step:1")
    assert end(process).code == 0


def test_fault_09_while_the_embedded_model_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start([*PHYT2V, *QUICK, "--out", str(path)], with_a_bar())
    read_until(process, "loading the model")
    stop_run(process, signal.SIGINT, path)
    assert not list(path.glob("output*")), "the model was never asked for a video"


@pytest.mark.slow
def test_fault_09_10_11_while_the_embedded_model_denoises(tmp_path: Path) -> None:
    path, whole = tmp_path / "run", tmp_path / "whole"
    assert end(start([*PHYT2V, *EIGHT_STEPS, "--out", str(whole)])).code == 0
    command = [*PHYT2V, *EIGHT_STEPS, "--out", str(path)]
    for number in STOPPING:
        process = start(command, with_a_bar())
        read_until(process, r"step [1-9] of 8")
        stop_run(process, number, path)
        assert "denoise" not in read_record(path, "round1.json")["seconds"]
        command = [*PHYT2V, "refine", "--resume", str(path)]
    resumed = end(start(command))
    assert (resumed.code, resumed.out) == (0, f"{path}/output2.mp4\n")
    assert outcome(path) == outcome(whole)
