"""A real terminal for a process, and text that means to drive it."""

import fcntl
import os
import pty
import re
import subprocess
import termios
from collections.abc import Mapping, Sequence
from functools import partial

HOSTILE = (
    "[/tag][link=https://evil.example]up[/link] "
    "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31mred \x9b2J \x9d0;title\x9c \u202etxt.exe\u202c\u2066 \x08\r gone"
)
"""Text that means to drive a terminal."""


SIXEL_TERMINAL = {b"\x1b[c": b"\x1b[?62;4;22c"}
"""Answer of a terminal that shows pictures by Sixel to the question what it is."""


def shown_by(
    command: Sequence[str],
    *,
    columns: int = 0,
    size: int = 0,
    code: int = 0,
    answers: Mapping[bytes, bytes] | None = None,
    **variables: str,
) -> str:
    """Run a command on a terminal of its own to its end, and return all that was written there.

    $COLUMNS says `columns` and the terminal itself says `size`; 0 says nothing. With `answers` to questions
    the command is in front on its terminal, as started by a shell.
    """
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (25, size))
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        list(command),
        env=environment | ({"COLUMNS": str(columns)} if columns else {}),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=answers is not None,
        preexec_fn=None if answers is None else partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    shown = bytearray()
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        shown += part
        for question, answer in (answers or {}).items():
            if question in part:
                os.write(controller, answer)
    os.close(controller)
    assert process.wait(timeout=60) == code, shown.decode()
    return shown.decode()


def foreign_controls(shown: str) -> list[str]:
    """Return the control characters in `shown` that are not ours: colours, and a bar that is drawn anew."""
    rest = re.sub(r"\x1b\[[0-9;?]*[mKAhlG]", "", shown)
    return re.findall("[\x00-\x06\x07\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest)
