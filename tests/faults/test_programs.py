"""Programs of a run end with it, however it ends and whatever they ignore."""

import signal
from functools import partial
from pathlib import Path

import pytest

from tests.command_line import assignments
from tests.faults.processes import PHYT2V, QUICK, end, gone, start, wait_until

STUBBORN = """#!/bin/sh
trap '' INT TERM HUP QUIT
sleep 600 &
sleep 1
echo $! > {folder}/child
echo $$ > {folder}/leader.new
mv {folder}/leader.new {folder}/leader
while :; do sleep 1; done
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "keep_alive"),
    [
        ((signal.SIGKILL,), True),
        pytest.param((signal.SIGQUIT,), False, marks=pytest.mark.slow),
        pytest.param((signal.SIGINT, signal.SIGINT), False, marks=pytest.mark.slow),
    ],
    ids=["SIGKILL-kept", "SIGQUIT", "SIGINT-twice"],
)
def test_fault_49_a_program_that_ignores_signals_ends_with_the_run(
    signals: tuple[signal.Signals, ...], keep_alive: bool, tmp_path: Path
) -> None:
    program = tmp_path / "judge"
    program.write_text(STUBBORN.format(folder=tmp_path))
    program.chmod(0o755)
    scorer = assignments(
        {"scorer.backend": "command", "scorer.command": program, "scorer.keep_alive": str(keep_alive).lower()}
    )
    process = start([*PHYT2V, *QUICK[:3], "--preset", "tiny", "--steps", "2,3", *scorer], cwd=tmp_path)
    wait_until((tmp_path / "leader").exists, "the scorer")
    for number in signals:
        if process.poll() is None:
            process.send_signal(number)
    end(process)
    for name in ("leader", "child"):
        pid = int((tmp_path / name).read_text())
        wait_until(partial(gone, pid), f"the end of the scorer's {name}")
