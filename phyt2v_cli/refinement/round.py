"""One round as far as it is missing: render, caption and score its video, each stage timed and saved.

It knows the roles and one record at a time. It does not know mismatches, rewriting or the order of the
rounds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial

from phyt2v_cli.config.prompts import read_instructions
from phyt2v_cli.errors import FaultyFramesError, ReplyError, RunInterruptedError
from phyt2v_cli.events import (
    Emit,
    GeneratorReady,
    LoadStarted,
    Notice,
    Stage,
    StageDone,
    StageStarted,
)
from phyt2v_cli.files.motion import motion_of
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.refinement.prompts import caption_instruction
from phyt2v_cli.refinement.render import Target, check_prompt_length, render_or_reseed, tell_differences
from phyt2v_cli.refinement.steps import drop_preview, tell_step
from phyt2v_cli.roles import Cancelled, ChatReply, DenoisingStep, HowItRan, Roles, VideoGenerator
from phyt2v_cli.runs.attempts import utc_now
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.opening import start_attempt
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import ScorerRecord, ScoresRecord, VideoRecord
from phyt2v_cli.runs.stored import storable_text
from phyt2v_cli.turns import waited_s
from phyt2v_cli.video_id import RoundId


class Session:
    """Run in progress: run directory, roles and callbacks."""

    def __init__(self, run: RunDir, roles: Roles, emit: Emit, cancelled: Cancelled) -> None:
        self.run = run
        self.roles = roles
        self.emit = emit
        self.cancelled = cancelled
        self._has_begun = False
        self._told_settings: dict[str, str] = {}
        self.tell_differences = tell_differences(self.emit)
        is_complete = run.record.status == "complete"
        self.instructions = {} if is_complete else read_instructions(run.config.prompts, has_begun=True)
        """Instructions for the LLM that replace the built-in ones, by task."""

    @cached_property
    def generator(self) -> VideoGenerator:
        """Generator, loaded on first use; raises PromptError if it cannot read the whole prompt."""
        self.emit(LoadStarted())
        generator = self.roles.load_generator()
        notice = check_prompt_length(
            generator,
            self.run.record.prompt,
            allow_truncation=self.run.config.generator.allow_truncation,
        )
        if notice is not None:
            self.emit(Notice(notice))
        self.tell_how_it_runs(generator.settings)
        self._tell_other_kernel(generator.settings)
        return generator

    def tell_how_it_runs(self, how: HowItRan) -> None:
        """Emit the generator's settings if they changed."""
        if how != self._told_settings:
            self._told_settings = dict(how)
            self.emit(GeneratorReady(self._told_settings))

    def _tell_other_kernel(self, how: HowItRan) -> None:
        """Emit a note if the run has videos of another attention kernel, which rounds otherwise."""
        name = how.get("attention")
        earlier = {video.generator.get("attention") for video in read_videos(self.run.path)[0]}
        if name is not None and (others := sorted(earlier - {None, name}, key=str)):
            self.emit(
                Notice(
                    f"videos of this run were made with the attention kernel {', '.join(map(str, others))}, "
                    f"and now it is {name}: the same prompt and seed may give other last bits"
                )
            )

    @contextmanager
    def stage(self, record: VideoRecord, stage: Stage) -> Iterator[None]:
        """Time a stage without its waiting for turns, and save the record at its end."""
        self.begin()
        self.emit(StageStarted(record.id, stage))
        start = time.monotonic() - waited_s()
        record.started = record.started or utc_now()
        yield
        record.finished = utc_now()
        record.seconds[stage] = round(time.monotonic() - waited_s() - start, 3)
        self.run.save_video(record)
        self.emit(StageDone(record.id, stage, record.seconds[stage]))

    def begin(self) -> None:
        """Start the attempt, if it is not started; raise RunInterruptedError if the run was cancelled."""
        if self.cancelled():
            raise RunInterruptedError("The run was stopped.", "The same call resumes it.")
        if not self._has_begun:
            self._has_begun = True
            self.run.record.status = "running"
            start_attempt(self.run.record)
            self.run.save()

    def count_reply(self, reply: ChatReply) -> None:
        """Count the tokens of an LLM's reply, and emit its note."""
        self.run.count_reply(reply)
        if reply.note:
            self.emit(Notice(reply.note))

    def tell_notices(self) -> None:
        """Emit the notices of the run directory."""
        while self.run.notices:
            self.emit(Notice(self.run.notices.pop(0)))


def complete_video(
    session: Session, record: VideoRecord, *, main_object: str, is_captioned: bool = True
) -> None:
    """Render, caption and score what is missing of `record`, saving it after every stage.

    `main_object` tells the captioner what to look at; without `is_captioned` it is not asked. Raises as the
    roles and `render_video` do.
    """
    run, recorded_sha256 = session.run, record.sha256
    has_video = run.has_video(record)
    session.tell_notices()
    if not has_video:
        _render(session, record)
    if record.sha256 != recorded_sha256:
        if recorded_sha256 is not None:
            # Another machine may round differently, so the caption and scores of the lost video do not count.
            record.forget_judgement()
            if "rerendered" not in record.flags:
                record.flags.append("rerendered")
        run.save_video(record)
    run.release_latents(record)
    session.tell_notices()
    if record.motion is None and run.record.status != "complete":
        record.motion = round(motion_of(read_frames(run.video_path(record))), 6)
        run.save_video(record)
    if is_captioned and record.caption is None and not record.is_unusable("caption"):
        with session.stage(record, "caption"):
            _caption(session, record, main_object)
    if record.scores is None:
        with session.stage(record, "score"):
            _score(session, record)


def _caption(session: Session, record: VideoRecord, main_object: str) -> None:
    try:
        caption = session.roles.captioner.caption(
            session.run.video_path(record), caption_instruction(main_object)
        )
    except ReplyError as error:
        record.flag_unusable("caption", error)
        session.emit(Notice(f"{error.message}; the video has no caption", error.hint))
    else:
        record.caption = storable_text(caption)


def _score(session: Session, record: VideoRecord) -> None:
    scorers = session.roles.scorers
    for scorer in scorers:
        if scorer.name not in record.scorers:
            # Scored against the original prompt, whatever this video was made from.
            scores = scorer.score(session.run.video_path(record), session.run.record.prompt)
            record.scorers[scorer.name] = ScorerRecord.of(scores, scorer.name)
            if scores.problem is not None:
                record.flag_unusable("score", scores.problem)
                session.emit(Notice(f"{scores.problem.message}; a score is missing", scores.problem.hint))
            session.run.save_video(record)
    decisive = record.scorers[scorers[0].name]
    record.scores = ScoresRecord(
        semantic_adherence=decisive.semantic_adherence,
        physical_commonsense=decisive.physical_commonsense,
    )


def _render(session: Session, record: VideoRecord) -> None:
    session.begin()
    generator, run = session.generator, session.run
    if generator.count_excess_tokens(record.prompt) and "truncated_prompt" not in record.flags:
        record.flags.append("truncated_prompt")
    run.save_video(record)

    def on_step(step: DenoisingStep) -> None:
        session.tell_how_it_runs(step.how)
        tell_step(step, session.emit, record.id, run.preview_path)

    def on_how(how: HowItRan) -> None:
        record.generator = dict(how)
        session.tell_differences(how)

    def on_reseed(error: FaultyFramesError, seed: int) -> None:
        record.flags.append("reseeded")
        record.seed = seed
        record.pixels_key = run.recipe(record).pixels_key
        run.save_video(record)
        session.emit(Notice(f"{error.message}; trying once with another seed, {seed}"))

    target = Target(
        run.video_path(record),
        run.latents_path(record.id),
        on_step=on_step,
        cancelled=session.cancelled,
        stage=partial(session.stage, record),
        on_how=on_how,
        trajectory_path=run.trajectory_path(record.id) if isinstance(record.id, RoundId) else None,
        round_number=record.id.number if isinstance(record.id, RoundId) else None,
    )
    try:
        rendered = render_or_reseed(
            generator,
            run.recipe(record),
            target,
            on_reseed=on_reseed,
            may_reseed="reseeded" not in record.flags,
        )
    except FaultyFramesError as error:
        raise FaultyFramesError(
            f"{record.video}: {error.message}, with another seed too.",
            "Change the prompt, the steps or the size, or compute in float32 with `generator.dtype=float32`.",
        ) from error
    finally:
        drop_preview(run.preview_path)
    record.sha256 = rendered.sha256
