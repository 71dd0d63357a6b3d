"""Two processes on one run directory."""

import signal
import socket
from pathlib import Path

import pytest

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.runs.directory import RunDir
from tests.fake_runs import make_config, open_run
from tests.faults.processes import QUICK, Doubled, end


def test_fault_12_the_second_process_is_refused_with_pid_and_host(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    holder = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:1"]})
    try:
        doubled.wait_for("caption:1 hangs")
        calls = doubled.calls()
        for arguments in (
            [*QUICK, "--out", path],
            ["refine", "--resume", path],
            [*QUICK, "--out", path, "--force"],
        ):
            second = doubled.run_apart(*arguments)
            assert (second.code, second.out) == (3, "")
            assert f"in use by process {holder.pid} on {socket.gethostname()}" in second.err
        with pytest.raises(RunDirError, match=f"process {holder.pid}"):
            RunDir.resume(path)
        assert doubled.calls() == calls
    finally:
        holder.kill()
        holder.communicate()


def test_fault_13_a_lock_left_by_a_kill_is_taken_over(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    holder = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:1"]})
    doubled.wait_for("caption:1 hangs")
    holder.send_signal(signal.SIGKILL)
    assert end(holder).code == -signal.SIGKILL
    assert (path / ".phyt2v.lock").exists()
    assert doubled.run(*QUICK, "--out", path).code == 0
    assert doubled.count("denoise") == 2


def test_fault_13_whatever_the_owner_file_says(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path, make_config()):
        for content in (
            "",
            "{",
            "[]",
            '{"pid": 1e999, "host": 3}',
            '{"pid": "x", "host": "y"}',
            "[" * 100_000,
        ):
            (path / ".phyt2v.owner").write_text(content)
            with pytest.raises(RunDirError, match="in use by another process"):
                open_run(path, make_config())
