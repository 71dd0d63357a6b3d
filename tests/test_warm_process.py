"""A warm process is a child like any other."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm_process import ROOT, WarmPopen, is_warm

ABOUT = """
import json, os, sys
print("to stderr", file=sys.stderr)
about = dict(pid=os.getpid(), parent=os.getppid(), session=os.getsid(0), folder=os.getcwd())
about |= dict(words=sys.argv[1:], X=os.environ.get("X"), said=sys.stdin.read())
print(json.dumps({**about, "warm": "torch" in sys.modules}))
sys.exit(7)
"""
COMMAND = [sys.executable, "-m", "about", "a b", "--c"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are handed over on Linux only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "about.py").write_text(ABOUT)
    return tmp_path


def started(folder: Path, *, start_new_session: bool = False) -> WarmPopen:
    pipe = subprocess.PIPE
    environment = {**os.environ, "X": "y"}
    return WarmPopen(
        COMMAND,
        env=environment,
        cwd=folder,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=start_new_session,
    )


def test_it_gets_all_that_a_new_process_gets(folder: Path) -> None:
    with started(folder, start_new_session=True) as process:
        out, err = process.communicate("a line")
    assert (process.returncode, err) == (7, "to stderr\n")
    assert json.loads(out) == {
        "pid": process.pid,
        "parent": os.getpid(),
        "session": process.pid,
        "folder": str(folder),
        "words": ["a b", "--c"],
        "X": "y",
        "said": "a line",
        "warm": True,
    }
    assert os.environ.get("X") != "y"


def test_a_signal_ends_it(folder: Path) -> None:
    with started(folder) as process:
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_another_takes_the_place_of_one_that_has_ended(folder: Path) -> None:
    # in a process of its own, which is not the one whose warm process other tests use
    code = f"""
import os, signal
from tests.test_warm_process import started
from pathlib import Path
def ended(process):
    process.communicate("")
    return process.returncode
def children():
    return map(int, Path(f"/proc/self/task/{{os.getpid()}}/children").read_text().split())
folder = Path({str(folder)!r})
assert ended(started(folder)) == 7
for child in children():
    os.kill(child, signal.SIGKILL)
try:
    started(folder)
except OSError as error:
    print(type(error).__name__)
assert ended(started(folder)) == 7
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout in {"ConnectionResetError\n", "BrokenPipeError\n"}


def test_what_libraries_read_when_they_are_imported_needs_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_warm(COMMAND, None)
    assert is_warm(COMMAND, {**os.environ, "COLUMNS": "60", "PHYT2V_RUN__SEED": "3"})
    for name in ("HF_HOME", "OMP_NUM_THREADS", "USE_TORCH", "HOME", "PYTHONUTF8", "LC_ALL"):
        assert not is_warm(COMMAND, {**os.environ, name: "/another"}), name
    assert not is_warm(["bash", "-c", "phyt2v doctor"], None)
    monkeypatch.setenv("HF_TOKEN", "a key")
    assert not is_warm(COMMAND, None)
