"""Two processes on one run directory."""

import json
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.files.lock import check_lock, lock_folder
from phyt2v_cli.runs.directory import RunDir
from tests.fake_runs import make_config, open_run
from tests.faults.processes import QUICK, Doubled, end


@pytest.mark.slow
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
            assert "--out" not in second.err, "it does not go with --resume"
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


def test_fault_12_who_only_looks_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path, make_config()).close()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            with suppress(RunDirError):
                check_lock(path)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    before = {entry: entry.stat().st_mtime_ns for entry in (path, path / ".phyt2v.lock")}
    check_lock(path)
    assert {entry: entry.stat().st_mtime_ns for entry in before} == before
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(100):
            lock_folder(path).release()
    finally:
        is_over.set()
        for watcher in watchers:
            watcher.join()


@pytest.mark.slow
def test_fault_13_a_killed_run_is_shown_as_interrupted(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "runs" / "ball"
    holder = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:1"]})
    doubled.wait_for("caption:1 hangs")
    try:
        assert shown_status(doubled, path) == ["running"] * 4
    finally:
        holder.kill()
        holder.communicate()
    before = (path / "run.json").read_bytes()
    assert shown_status(doubled, path) == ["interrupted"] * 4
    assert (path / "run.json").read_bytes() == before
    assert json.loads(before)["status"] == "running"
    assert doubled.run(*QUICK, "--out", path).code == 0
    assert shown_status(doubled, path) == ["complete"] * 4


def shown_status(doubled: Doubled, path: Path) -> list[str]:
    """Return the status of a run as each view has it."""
    listed = doubled.run("runs", path.parent).out.split("\t")[0]
    as_json = json.loads(doubled.run("runs", path.parent, "--json").out)["runs"][0]["status"]
    alone = json.loads(doubled.run("runs", "show", path, "--json").out)["status"]
    text = doubled.run("runs", "show", path).out.split(", seed")[0].rsplit(" ", 1)[1]
    return [listed, as_json, alone, text]
