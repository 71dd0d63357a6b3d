"""`phyt2v batch --executor ray` in real processes: equal to threads, killed, stopped and resumed."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.backends.cluster.ray_processes import is_ray_of, wait_until_gone, workers
from tests.faults.processes import PHYT2V, end, outcome, read_until, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("ray")]

PROMPTS = "a red ball drops\na blue cube slides\na green ball rolls\n"
SET = ("--rounds", "1", "--quiet")
ON_RAY = ("--executor", "ray", "--ray-address", "local", "--set", "execution.workers=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    (folder / "prompts.txt").write_text(PROMPTS)
    return folder


@pytest.fixture(scope="module")
def in_threads(folder: Path) -> Path:
    """The set as threads leave it."""
    ended = end(batch(folder, "threads", "--executor", "threads"))
    assert (ended.code, len(ended.out.splitlines())) == (0, 3)
    return folder / "threads"


def batch(folder: Path, out: str, *options: str, steps: Sequence[int] = (6, 9)) -> "subprocess.Popen[str]":
    chosen = ("--steps", ",".join(map(str, steps)), *SET, *options)
    return start([*PHYT2V, "batch", "prompts.txt", "--out", out, *chosen], cwd=folder, start_new_session=True)


def runs_of(path: Path) -> dict[str, Any]:
    """What must be equal in two sets, but for where it was made."""
    runs = {run.name: outcome(run) for run in sorted(path.iterdir()) if run.is_dir()}
    assert len(runs) == 3
    for records in runs.values():
        records.pop("contact.png")
        records["run.json"]["config"].pop("execution", None)
    return runs


def test_a_set_on_ray_equals_one_in_threads(folder: Path, in_threads: Path) -> None:
    ended = end(batch(folder, "ray", *ON_RAY))
    assert ended.code == 0, ended.err
    assert sorted(Path(line).parent.name for line in ended.out.splitlines()) == sorted(runs_of(in_threads))
    assert runs_of(folder / "ray") == runs_of(in_threads)
    assert (folder / "ray" / "summary.csv").is_file()


def test_a_worker_that_is_killed_in_the_middle_of_a_video(folder: Path, in_threads: Path) -> None:
    process = batch(folder, "worker-killed", *ON_RAY)
    wait_until(lambda: len(workers(driver=process.pid)) == 2, "two workers")
    wait_until(lambda: any((folder / "worker-killed").glob("*/output1.mp4")), "a first video")
    os.kill(max(workers(driver=process.pid)), signal.SIGKILL)
    ended = end(process)
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 3  # and no word of Ray's about the worker
    assert runs_of(folder / "worker-killed") == runs_of(in_threads)


def test_a_driver_that_is_killed_leaves_nothing_running_and_goes_on(folder: Path, in_threads: Path) -> None:
    process = batch(folder, "driver-killed", *ON_RAY)
    wait_until(lambda: any((folder / "driver-killed").glob("*/output1.mp4")), "a first video")
    left = [*is_ray_of(process.pid), *workers(driver=process.pid)]
    assert left
    process.kill()
    process.communicate()
    wait_until_gone(left)
    videos = {path: path.stat().st_mtime_ns for path in (folder / "driver-killed").glob("*/output?.mp4")}
    ended = end(batch(folder, "driver-killed", *ON_RAY))
    assert ended.code == 0, ended.err
    assert runs_of(folder / "driver-killed") == runs_of(in_threads)
    assert all(path.stat().st_mtime_ns == written for path, written in videos.items())


def test_ctrl_c_drains_and_the_same_command_goes_on(folder: Path, in_threads: Path) -> None:
    process = batch(folder, "stopped", *ON_RAY)
    wait_until(lambda: any((folder / "stopped").glob("*/output1.mp4")), "a first video")
    left = [*is_ray_of(process.pid), *workers(driver=process.pid)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all that it sees
    ended = end(process)
    assert ended.code == 130, ended.err
    assert "resumes it" in ended.err
    wait_until_gone(left)
    again = end(batch(folder, "stopped", *ON_RAY))
    assert again.code == 0, again.err
    assert runs_of(folder / "stopped") == runs_of(in_threads)


def test_plain_lines_tell_how_the_set_goes_on(folder: Path) -> None:
    options = [option for option in SET if option != "--quiet"]
    command = [*PHYT2V, "batch", "prompts.txt", "--out", "told", "--steps", "6,9", *options, *ON_RAY]
    process = start(command, cwd=folder)
    read_until(process, r"of 3 prompts done, \d running")
    ended = end(process)
    assert ended.code == 0
    assert "Prompt 1 of 3: SA" in ended.err
    assert "raylet" not in ended.out + ended.err
