"""Start phyt2v in real processes, wait for places in them, and compare what they leave behind."""

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults import cli_with_doubles
from tests.warm_process import WarmPopen, is_warm

PHYT2V = (sys.executable, "-m", "phyt2v_cli")
QUICK = ("refine", "--prompt", "a red ball drops", "--rounds", "1", "--min", "3", "--max", "6")
EIGHT_STEPS = (*QUICK[:5], "--steps", "8,9")
"""Of which the first round on the embedded model takes long enough to be met in it."""
ROOT = Path(__file__).parents[2]
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 120
"""What must happen has this long to do so, on a machine whose cores are busy with other things."""


class Doubled:
    """The command line with doubles of the roles; `folder` takes their log."""

    def __init__(self, folder: Path) -> None:
        self.log_path = folder / "calls.log"

    def start(
        self, *arguments: str | Path, script: dict[str, Any] | None = None, **options: Any
    ) -> "subprocess.Popen[str]":
        """Start a process; `script` is explained in `cli_with_doubles.py`."""
        told = {"log": str(self.log_path), **(script or {})}
        # The tests are found from any folder.
        environment = {**os.environ, "DOUBLES": json.dumps(told), "PYTHONPATH": str(ROOT)}
        return start(
            [sys.executable, "-m", "tests.faults.cli_with_doubles", *map(str, arguments)],
            environment,
            **options,
        )

    def run_apart(self, *arguments: str | Path, **options: Any) -> "Ended":
        """Run a process to its end; the options are those of `start`."""
        return end(self.start(*arguments, **options))

    def run(
        self, *arguments: str | Path, script: dict[str, Any] | None = None, cwd: Path | None = None
    ) -> "Ended":
        """Do in this process what a new one does, in a third of the time."""
        assert script is None or "fill" not in script, "it would fill the disk of this process"
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch:
            cli_with_doubles.install({"log": str(self.log_path), **(script or {})}, patch.setattr)
            for name, value in {
                "argv": ["phyt2v", *map(str, arguments)],
                "stdout": out,
                "stderr": err,
            }.items():
                patch.setattr(sys, name, value)
            patch.setattr(os, "_exit", sys.exit)  # of threads that nobody waits for
            patch.chdir(cwd or Path.cwd())
            with pytest.raises(SystemExit) as leaving:
                cli_with_doubles.run()
        assert isinstance(leaving.value.code, int)
        return ended(leaving.value.code, *(file.buffer.getvalue().decode() for file in (out, err)))

    def calls(self) -> list[str]:
        """Return the roles that were called so far, in order."""
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def count(self, role: str) -> int:
        """Return how often a role was called, over all processes."""
        return sum(re.fullmatch(rf"{role}:\d+", line) is not None for line in self.calls())

    def wait_for(self, line: str) -> None:
        """Wait until the log has a line."""
        wait_until(lambda: line in self.calls(), line)

    def let_go_on(self, call: str) -> None:
        """End the hanging of a call."""
        with self.log_path.open("a") as log:
            log.write(f"{call} goes on\n")


class Ended:
    """What came of a process."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def start(
    command: Sequence[str], environment: dict[str, str] | None = None, **options: Any
) -> "subprocess.Popen[str]":
    """Start a process that has the default signals, whatever started the tests: a warm one if it can be."""
    if is_warm(command, environment) and not options.keys() - {"cwd", "stdin", "start_new_session"}:
        pipe = subprocess.PIPE
        return WarmPopen(
            list(command), env=environment, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", **options
        )
    return subprocess.Popen(
        list(command),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=options.pop("preexec_fn", default_signals),
        **options,
    )


def default_signals() -> None:
    """Undo what nohup or a script's background job hands on."""
    for number in (*STOPPING, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def with_a_bar() -> dict[str, str]:
    """Return the environment of a process that shows what it is at, step by step, as on a terminal."""
    return {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}


def end(process: "subprocess.Popen[str]") -> Ended:
    """Wait for the end of a process; it must not have shown a traceback."""
    done = _await(process)
    return ended(done.returncode, done.stdout, done.stderr)


def complete(
    command: Sequence[str], environment: dict[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a process to its end, whatever it shows; the options are those of `start`."""
    return _await(start(command, environment, **options))


def _await(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def ended(code: int, out: str, err: str) -> Ended:
    assert "Traceback" not in err, err
    return Ended(code, out, err)


def wait_until(reached: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, f"{what} was not reached in {PATIENCE_S} s"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody waits for yet has too."""
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def read_until(process: "subprocess.Popen[str]", pattern: str) -> None:
    """Read what a process says on stderr until that matches; `end` returns only what comes after."""
    assert process.stderr is not None
    said, deadline = b"", time.monotonic() + PATIENCE_S
    while not re.search(pattern, said.decode(errors="replace")):
        is_ready, _, _ = select.select([process.stderr], [], [], max(0, deadline - time.monotonic()))
        # Byte by byte, for what was said in the same breath belongs to `end`.
        part = os.read(process.stderr.fileno(), 1) if is_ready else b""
        if not part:
            process.kill()
            process.communicate()
            raise AssertionError(f"{pattern} was not said: {said[-1000:]!r}")
        said += part


def read_record(path: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((path / name).read_text())
    return record


def outcome(path: Path) -> dict[str, Any]:
    """Return what must be equal in two runs, by file name: bytes of pictures, and records without times."""
    pictures = [*path.glob("*.mp4"), *path.glob("*.png")]
    records = {file.name: read_record(path, file.name) for file in path.glob("*.json")}
    for record in records.values():
        for times in ("seconds", "started", "finished", "attempts"):
            record.pop(times, None)
    return records | {file.name: file.read_bytes() for file in pictures}
