"""External process that answers requests: stdin in, stdout out, with a timeout and a size limit.

Knows pipes, process groups and exit codes; must not know scorers, JSON or the config. No shell is used.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from phyt2v_cli.backends.program import keeper
from phyt2v_cli.errors import BackendError

MAX_ANSWER_BYTES = 64 * 1024
"""Limit of stdout for one answer. Scores and reasons take a few hundred bytes."""

_STDERR_BYTES = 4096
"""Bytes kept from the end of stderr, for the one line that an error quotes."""

_POLL_S = 0.05
"""Interval of the check for an exit, which the pipes do not show if the program's children keep them open."""

_GRACE_S = 10.0
"""Time for a program to exit after its stdin is closed; torch takes seconds to shut down."""


class ExternalProgram:
    """Running program in its own session, so that it ends with its children, and at the latest with us."""

    def __init__(self, command: Sequence[str], *, label: str) -> None:
        """Start `command`, whose program is a path; `label` names it in errors.

        Raises BackendError if it cannot be started.
        """
        self.label = label
        self._stderr = b""
        keeper.start()
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
        keeper.add(self._process.pid)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._pipes = (self._stdin, self._stdout, self._process.stderr)
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    @property
    def is_running(self) -> bool:
        """Whether the program has not exited yet."""
        return self._find_exit() is None

    def ask(self, request: bytes, *, timeout_s: float, stays: bool) -> bytes:
        """Send a request and wait for the answer on stdout.

        If the program `stays` for more requests, the answer is the next line; else it is all of stdout.
        Raises BackendError if there is no answer within `timeout_s` seconds, it is longer than
        `MAX_ANSWER_BYTES`, or the program fails. The program must be killed after every error.
        """
        if stays and self._has_unread():
            raise BackendError(f"{self.label} printed what no request asked for.")
        answer, unsent = b"", request
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            for pipe in self._pipes:
                selector.register(
                    pipe, selectors.EVENT_WRITE if pipe is self._stdin else selectors.EVENT_READ
                )
            while not (stays and b"\n" in answer):
                # Checked first, so that all output before an exit is read below.
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
        """Kill the program and what it has left behind at once."""
        if self._process.returncode is None:  # until it is waited for, its number belongs to no other
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            keeper.drop(self._process.pid)
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    def close(self) -> None:
        """Close stdin, which asks the program to exit, and kill it if it does not exit in time."""
        self._stdin.close()
        deadline = time.monotonic() + _GRACE_S
        while self.is_running and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self.kill()

    def last_words(self) -> str:
        """Last line of its stderr so far that is not blank; empty if there is none."""
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

    def _find_exit(self) -> int | None:
        """Find its exit code, negative if a signal killed it, without waiting for it; None if it runs."""
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.poll()
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _check_exit(self, *, stays: bool) -> None:
        code = self._find_exit() or 0
        if code < 0 and -code in signal.valid_signals():
            raise BackendError(f"{self.label} was killed by {signal.Signals(-code).name}.")
        if stays:
            raise BackendError(f"{self.label} ended with exit code {code} before it answered.")
        if code != 0:
            raise BackendError(f"{self.label} ended with exit code {code}.")


def printable(text: str, limit: int) -> str:
    """Clean untrusted text for a message: one line, no control characters, at most `limit` characters."""
    flat = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
