"""Standard streams that are closed, full or gone, in real processes."""

import errno
import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PHYT2V = shlex.join([sys.executable, "-m", "phyt2v_cli"])
REFINE = f'{PHYT2V} refine --prompt "a red ball drops" --rounds 0 --max 2 --out run'
ROOT = Path(__file__).parents[2]


def sh(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "stderr",
    [
        "2> >(sed -n '/Round 1 of/q')",
        pytest.param("2>/dev/full", marks=pytest.mark.slow),
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("0<&- 2>&-", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_fault_52_a_run_goes_on_without_its_display(stderr: str, tmp_path: Path) -> None:
    ended = sh(f"{REFINE} {stderr}", tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "run/output1.mp4\n")
    assert (tmp_path / "run" / "contact.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("preview-schedule --min 60", 0),
        pytest.param("generate --prompt 'a red ball drops' --steps 2", 0, marks=pytest.mark.slow),
        ("preview-schedule --rounds x", 2),
        ("runs show nowhere", 3),
    ],
)
def test_notes_and_errors_that_nobody_reads_change_no_exit_code(
    arguments: str, code: int, tmp_path: Path
) -> None:
    assert sh(f"{PHYT2V} {arguments} 2>/dev/full", tmp_path).returncode == code


@pytest.mark.slow
def test_fault_52_a_run_outlives_its_terminal(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", REFINE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        # as under nohup, which keeps a stderr that is a terminal if stdout is none
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    os.close(terminal)
    said = b""
    while b"Round 1" not in said:
        said += os.read(controller, 65536)
    os.close(controller)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "run/output1.mp4\n")


@pytest.mark.parametrize("arguments", ["refine -", "generate -", "batch -"])
def test_a_closed_standard_input_is_named(arguments: str, tmp_path: Path) -> None:
    ended = sh(f"{PHYT2V} {arguments} <&-", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: standard input is closed\nhint: ")


@pytest.mark.parametrize("arguments", ["--help", "config presets", "preview-schedule --json"])
@pytest.mark.parametrize(
    ("stdout", "reason"),
    [(">/dev/full", "the disk is full"), ("3</dev/null >&3", os.strerror(errno.EBADF))],
)
def test_data_that_cannot_be_written_exits_3(
    arguments: str, stdout: str, reason: str, tmp_path: Path
) -> None:
    ended = sh(f"{PHYT2V} {arguments} {stdout}", tmp_path)
    assert ended.returncode == 3
    assert ended.stderr == f"error: standard output could not be written: {reason}\n"


def test_fault_52_no_file_becomes_a_closed_stream(tmp_path: Path) -> None:
    talk = "import os; os.write(2, b'noise'); os.write(1, b'noise')"
    program = (
        "from phyt2v_cli.cli import streams; streams.prepare(); file = open('result', 'w'); "
        f"{talk}; file.write('data')"
    )
    ended = sh(f"{sys.executable} -c {shlex.quote(program)} <&- >&- 2>&-", tmp_path)
    assert ended.returncode == 0
    assert (tmp_path / "result").read_text() == "data"
