"""What the parts of one `refine` share: the run, the roles, and how a stage begins, is timed and saved.

It knows the roles and the run directory, and neither the order of the rounds nor a backend.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from phyt2v_cli.errors import PromptError, RunInterruptedError
from phyt2v_cli.events import Emit, GeneratorReady, LoadStarted, Notice, Stage, StageDone, StageStarted
from phyt2v_cli.interfaces import ChatReply, Roles, VideoGenerator
from phyt2v_cli.records import RoundRecord
from phyt2v_cli.run_dir import RunDir


class Session:
    """One run being done."""

    def __init__(self, run: RunDir, roles: Roles, emit: Emit, cancelled: Callable[[], bool]) -> None:
        self.run = run
        self.roles = roles
        self.emit = emit
        self._cancelled = cancelled
        self._said_settings: dict[str, str] = {}

    @cached_property
    def generator(self) -> VideoGenerator:
        """The generator, loaded when first needed; PromptError where it cannot read the whole prompt."""
        self.emit(LoadStarted())
        generator = self.roles.load_generator()
        excess = generator.count_excess_tokens(self.run.record.prompt)
        if excess:
            if not self.run.config.generator.allow_truncation:
                raise PromptError(
                    f"The prompt is {excess} tokens longer than the video model reads; "
                    "shorten it, or let it be cut with --allow-truncation."
                )
            self.emit(Notice(f"the last {excess} tokens of the prompt are beyond what the video model reads"))
        self.say_how_it_runs(generator)
        return generator

    def say_how_it_runs(self, generator: VideoGenerator) -> None:
        """Tell how the generator runs, where that is not what was told last."""
        settings = dict(generator.settings)
        if settings != self._said_settings:
            self._said_settings = settings
            self.emit(GeneratorReady(settings))

    @contextmanager
    def stage(self, record: RoundRecord, stage: Stage) -> Iterator[None]:
        """Time a stage, and save the record when it is done. Events of the control carry round 0."""
        self.begin()
        self.emit(StageStarted(record.round or 0, stage))
        start = time.monotonic()
        yield
        record.seconds[stage] = round(time.monotonic() - start, 3)
        self.run.save_round(record)
        self.emit(StageDone(record.round or 0, stage, record.seconds[stage]))

    def begin(self) -> None:
        """Stop here if told to; otherwise there is work, so the run is running."""
        if self._cancelled():
            raise RunInterruptedError("The run was stopped; the same command goes on where it was.")
        if self.run.record.status != "running":
            self.run.record.status = "running"
            self.run.save()

    def count_reply(self, reply: ChatReply) -> None:
        """Count what an LLM's reply used, and pass on its note."""
        self.run.count_reply(reply)
        if reply.note:
            self.emit(Notice(reply.note))

    def tell_notices(self) -> None:
        """Tell what the run directory has noticed."""
        while self.run.notices:
            self.emit(Notice(self.run.notices.pop(0)))
