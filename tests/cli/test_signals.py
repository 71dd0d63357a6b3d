"""A stop is heard wherever it comes; what commands make of it is in tests/faults/test_signals.py."""

import os
import signal
import subprocess
import sys
from pathlib import Path

IN_A_DEL = """
import sys, time
from phyt2v_cli.cli import signals
from phyt2v_cli.errors import RunInterruptedError

signals.GRACE_S = 0.1

class SlowToDie:
    def __del__(self):
        print("dying", flush=True)
        time.sleep(600)

class Careless:
    def __del__(self):
        raise ValueError("carelessly")

before = sys.unraisablehook
try:
    with signals.StopRequest("stopped", "go on", on_first=lambda: None, on_second=lambda: None):
        Careless()
        for _ in range(3):
            SlowToDie()
        time.sleep(600)
except RunInterruptedError as error:
    print(error.message, error.exit_code, sys.unraisablehook is before)
"""


def test_a_stop_that_falls_into_a_del_is_not_lost_and_not_shown() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_DEL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "dying\n"
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=60)
    assert said == "dying\ndying\nstopped 130 True\n"
    assert "KeyboardInterrupt" not in err
    assert err.count("Exception ignored") == err.count("ValueError: carelessly") == 1


def test_a_stop_while_the_command_line_is_imported_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    ended = subprocess.run(
        [sys.executable, "-m", "phyt2v_cli", "preview-schedule"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
