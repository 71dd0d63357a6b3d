"""One round, as far as it is missing: its video rendered, captioned and scored, each stage timed and saved.

It knows the roles and one record at a time, and neither mismatches, rewriting nor the order of the rounds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial

from phyt2v_cli.errors import FaultyFramesError, PromptError, RunInterruptedError
from phyt2v_cli.events import (
    Emit,
    GeneratorReady,
    LoadStarted,
    Notice,
    Stage,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.refinement.prompts import caption_instruction
from phyt2v_cli.refinement.render import another_seed, render_video
from phyt2v_cli.roles import ChatReply, Roles, VideoGenerator
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.records import RoundRecord, ScorerRecord, ScoresRecord, storable_text


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


def complete_video(session: Session, record: RoundRecord, *, main_object: str) -> None:
    """Render, caption and score what is missing of `record`, saving it after every stage.

    `main_object` tells the captioner what to look at.
    """
    run, recorded_sha256 = session.run, record.sha256
    has_video = run.has_video(record)
    session.tell_notices()
    if not has_video:
        _render(session, record)
    if record.sha256 != recorded_sha256:
        if recorded_sha256 is not None:
            # Another machine may round differently; what was seen in the lost video does not count here.
            record.caption, record.scores, record.scorers = None, None, {}
            record.flags.append("rerendered")
        run.save_round(record)
    run.release_latents(record)
    if record.caption is None:
        with session.stage(record, "caption"):
            caption = session.roles.captioner.caption(
                run.video_path(record), caption_instruction(main_object)
            )
            record.caption = storable_text(caption)
    if record.scores is None:
        with session.stage(record, "score"):
            _score(session, record)


def _score(session: Session, record: RoundRecord) -> None:
    scorers = session.roles.scorers
    for scorer in scorers:
        if scorer.name not in record.scorers:
            # The original prompt, whatever this video was made from.
            scores = scorer.score(session.run.video_path(record), session.run.record.prompt)
            record.scorers[scorer.name] = ScorerRecord.of(scores, scorer.name)
            session.run.save_round(record)
    decisive = record.scorers[scorers[0].name]
    record.scores = ScoresRecord(
        semantic_adherence=decisive.semantic_adherence,
        physical_commonsense=decisive.physical_commonsense,
    )


def _render(session: Session, record: RoundRecord) -> None:
    session.begin()
    generator, run = session.generator, session.run
    if generator.count_excess_tokens(record.prompt) and "truncated_prompt" not in record.flags:
        record.flags.append("truncated_prompt")
    run.save_round(record)

    try:
        record.sha256 = _render_once(session, generator, record)
    except FaultyFramesError as error:
        run.drop_latents(record)
        if "reseeded" in record.flags:
            raise FaultyFramesError(
                f"{record.video}: {error}, with another seed too. Change the prompt, the steps or the "
                "size, or compute in float32 with --set generator.dtype=float32."
            ) from error
        record.flags.append("reseeded")
        record.seed = another_seed(record.seed)
        run.save_round(record)
        session.emit(Notice(f"{error}; trying once with another seed, {record.seed}"))
        _render(session, record)
        return
    record.generator |= generator.settings


def _render_once(session: Session, generator: VideoGenerator, record: RoundRecord) -> str:
    def on_step(step: int, steps: int) -> None:
        session.say_how_it_runs(generator)
        session.emit(StepDone(record.round or 0, step, steps))
        record.generator = dict(generator.settings)
        session.begin()

    return render_video(
        generator,
        record.prompt,
        seed=record.seed,
        num_inference_steps=record.steps,
        video_path=session.run.video_path(record),
        round_number=record.round,
        latents_path=session.run.latents_path(record),
        draft=record.purpose == "draft",
        on_step=on_step,
        stage=partial(session.stage, record),
    )
