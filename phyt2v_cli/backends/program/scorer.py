"""Scorer in an external program, one JSON object in and one out; for scorers with their own packages.

docs/videocon-physics.md is the contract for people who write such a program. This file must not know any
model.
"""

import json
import os
import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from phyt2v_cli.backends.program.process import ExternalProgram, printable
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.errors import BackendError, ConfigError
from phyt2v_cli.files.redaction import redact
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.replies import UnusableReplyError, read_json
from phyt2v_cli.roles import Scores
from phyt2v_cli.turns import Turns

REQUEST_SCHEMA = "phyt2v.score-request/1"

_Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None


class _Reply(BaseModel):
    """JSON reply of the program. Both scores are required, so that a misspelt one is not an abstention."""

    model_config = ConfigDict(strict=True)

    semantic_adherence: _Score
    physical_commonsense: _Score
    reasons: list[str] = []


class CommandScorer:
    """Scorer in a program; implements `roles.VideoScorer`. Thread-safe.

    It starts one process for each video, or one for all with `keep_alive`. The program inherits the
    environment, keys included, and the working directory.
    """

    def __init__(self, config: ScorerConfig) -> None:
        """Set the command; nothing is started yet. Raises ConfigError if none is set."""
        if config.command is None:
            raise ConfigError("scorer.command: the command backend needs a program")
        self._config = config
        self._command = config.command
        # Each program may need the whole GPU, and a kept one answers in order.
        self._turns = Turns(1 if config.keep_alive else config.concurrency or 1)
        self._kept: ExternalProgram | None = None

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._config.name or f"command:{Path(self._command[0]).name}"

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Ask the program to score a video for `prompt`.

        Raises BackendError if the program cannot be started, fails, gives no answer within `timeout_s`
        seconds, or prints no usable scores. If it still runs then, it is killed with its children.
        """
        request = {"schema": REQUEST_SCHEMA, "video": str(video_path.absolute()), "prompt": prompt}
        line = json.dumps(request).encode("ascii") + b"\n"
        with self._turns.taken():
            if not self._config.keep_alive:
                program = self._start()
                try:
                    return self._ask(program, line)
                finally:
                    program.kill()
            if self._kept is None or not self._kept.is_running:
                if self._kept is not None:
                    self._kept.kill()
                self._kept = self._start()
                weakref.finalize(self, self._kept.close)  # also runs when Python ends
            try:
                return self._ask(self._kept, line)
            except BaseException:
                # Killed, because a late answer would be read as the answer for the next video.
                self._kept.kill()
                self._kept = None
                raise

    def close(self) -> None:
        """End the kept program, if there is one."""
        with self._turns.taken():
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    def _start(self) -> ExternalProgram:
        program, *arguments = self._command
        command = [find_program(self._command), *map(os.path.expanduser, arguments)]
        return ExternalProgram(command, label=f"The scorer {printable(program, 200)}")

    def _ask(self, program: ExternalProgram, line: bytes) -> Scores:
        try:
            answer = program.ask(line, timeout_s=self._config.timeout_s, stays=self._config.keep_alive)
            text = redact(answer.decode(errors="replace"), self._config.api_key_env)
            reply = self._parse(text, program.label)
        except BackendError as error:
            said = printable(redact(program.last_words(), self._config.api_key_env), 200)
            quoted = f" It last said on stderr: {said}" if said else ""
            raise BackendError(f"{error.message}{quoted}", error.hint) from error
        reasons = tuple(flat for reason in reply.reasons if (flat := " ".join(reason.split())))
        return Scores(reply.semantic_adherence, reply.physical_commonsense, reasons)

    def _parse(self, answer: str, label: str) -> _Reply:
        if not answer.strip():
            raise BackendError(f"{label} printed no scores: its stdout is empty.")
        try:
            return read_json(answer, _Reply)
        except UnusableReplyError as error:
            start = printable(answer, 80)
            raise BackendError(f"{label} printed no usable scores ({error}): {start}") from error


def find_program(command: Sequence[str]) -> str:
    """Find the program of a command, as an absolute path.

    Raises BackendError if it is missing or not executable.
    """
    path = os.path.expanduser(command[0])  # noqa: PTH111  a Path would drop the ./ that means "not on the PATH"
    if found := shutil.which(path):
        return str(Path(found).absolute())
    with refusals_as(BackendError, command[0]):
        is_file = Path(path).is_file()
    if is_file:
        raise BackendError(f"{command[0]} may not be executed.", "Make it executable with `chmod +x`.")
    hint = "Write its arguments as separate entries." if len(command) == 1 and " " in path.strip() else ""
    where = "" if os.sep in path else " on the PATH"
    raise BackendError(f"there is no program {printable(command[0], 200)}{where}.", hint)
