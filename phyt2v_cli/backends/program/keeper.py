"""Keeper of process groups: a process of its own that kills them once this one has ended, however it ended.

After SIGKILL, SIGQUIT or a second Ctrl-C nothing of this process runs any more, and a program that ignores
signals would live on. The keeper reads the groups from a pipe, whose end it sees in any case. (`prctl` could
have the kernel do it, but at the end of the thread that started the program, not of the process.)
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress

_turn = threading.Lock()
_keeper: "subprocess.Popen[bytes] | None" = None


def start() -> None:
    """Start the keeper, if it does not run. Call it before a program is started, for that may end us at once.

    Nothing happens where no process can be started.
    """
    global _keeper
    with _turn, suppress(OSError):
        if _keeper is None or _keeper.poll() is not None:
            _keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal is not meant for it
            )
            atexit.register(_keeper.communicate)  # closes the pipe, and waits for it


def add(group: int) -> None:
    """Have a process group killed when this process ends."""
    _tell("+", group)


def drop(group: int) -> None:
    """Forget a process group. Call it while its number cannot be another's yet."""
    _tell("-", group)


def _tell(sign: str, group: int) -> None:
    with _turn, suppress(OSError):
        if _keeper is not None and _keeper.stdin is not None:
            _keeper.stdin.write(f"{sign}{group}\n".encode("ascii"))


def keep(lines: Iterable[str]) -> None:
    """Collect the groups that `lines` add (`+7`) and drop (`-7`), and at their end kill what is left."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    keep(iter(sys.stdin.readline, ""))
