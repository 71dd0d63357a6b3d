"""One started program: a request into its stdin, the answer out of its stdout, within a time and a size.

Knows pipes, process groups and exit codes; no scorer, no JSON and no config. There is never a shell.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from phyt2v_cli.errors import BackendError

MAX_ANSWER_BYTES = 64 * 1024
"""Of stdout, for one answer. Scores and reasons take a few hundred."""

_STDERR_BYTES = 4096
"""Kept of the end of stderr, for the one line that an error quotes."""

_POLL_S = 0.05
"""How soon an exit is seen of a program whose children hold its pipes open."""

_GRACE_S = 10.0
"""For a kept program to leave by itself once its stdin is closed; torch takes seconds to shut down."""


class ExternalProgram:
    """A program that runs in a session of its own, so that it can be killed with all its children."""

    def __init__(self, command: Sequence[str], *, label: str) -> None:
        """Start `command`, which is found already; `label` names it in errors. Raises BackendError."""
        self.label = label
        self._stderr = b""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"{label} cannot be started: {error.strerror}.",
                "It must be a program that this machine can run; a script needs a first line like "
                "`#!/usr/bin/env python3`.",
            ) from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._pipes = (self._stdin, self._stdout, self._process.stderr)
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        return self._process.poll() is None

    def ask(self, request: bytes, *, timeout_s: float, stays: bool) -> bytes:
        """Return its answer: the next line where it `stays` for more requests, else all it prints.

        Raises BackendError where there is none in time, where it is too long, and where the program fails.
        The program must be killed after every error.
        """
        if stays and self._has_unread():
            raise BackendError(f"{self.label} printed more than one line for one request.")
        answer, unsent = b"", request
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            for pipe in self._pipes:
                selector.register(
                    pipe, selectors.EVENT_WRITE if pipe is self._stdin else selectors.EVENT_READ
                )
            while not (stays and b"\n" in answer):
                # Asked first, so that whatever it wrote before it ended is read below.
                has_ended = not self.is_running
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise BackendError(f"{self.label} gave no answer within {timeout_s:g} s and was stopped.")
                ready = selector.select(0 if has_ended else min(left_s, _POLL_S))
                for key, _ in ready:
                    if key.fileobj is self._stdin:
                        unsent = self._write(unsent)
                        if not unsent:
                            selector.unregister(self._stdin)
                            if not stays:
                                self._stdin.close()
                        continue
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is self._stdout:
                        answer += chunk
                    else:
                        self._stderr = (self._stderr + chunk)[-_STDERR_BYTES:]
                if len(answer) > MAX_ANSWER_BYTES:
                    raise BackendError(
                        f"{self.label} printed more than {MAX_ANSWER_BYTES // 1024} KiB and was stopped."
                    )
                if has_ended and not ready:
                    self._check_exit(stays=stays)
                    break
        return answer

    def kill(self) -> None:
        """End it and its children at once."""
        if self.is_running:  # later its number may belong to somebody else
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    def close(self) -> None:
        """Let it end by itself, which a closed stdin tells it to, and kill it where it does not."""
        self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.kill()

    def last_words(self) -> str:
        """Return the last line of its stderr so far that is not empty."""
        lines = [line.strip() for line in self._stderr.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _write(self, unsent: bytes) -> bytes:
        try:
            return unsent[os.write(self._stdin.fileno(), unsent) :]
        except BrokenPipeError:  # a program may answer without having read everything
            return b""

    def _has_unread(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._stdout.fileno(), 1))
        return False

    def _check_exit(self, *, stays: bool) -> None:
        code = self._process.returncode
        if code < 0 and -code in signal.valid_signals():
            raise BackendError(f"{self.label} was killed by {signal.Signals(-code).name}.")
        if stays:
            raise BackendError(f"{self.label} ended with exit code {code} before it answered.")
        if code != 0:
            raise BackendError(f"{self.label} ended with exit code {code}.")


def printable(text: str, limit: int) -> str:
    """Return foreign text for the middle of a message: one line, no controls, at most `limit` characters."""
    flat = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
