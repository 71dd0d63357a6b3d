"""The PhyT2V loop: straight-line code for one prompt over the four roles.

It knows no backend, no terminal and no torch. Every stage is saved before the next one starts, and a stage
is done when the record has its result; so a killed run redoes at most the stage it was in, and running a
complete one does nothing.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from phyt2v_cli.errors import (
    FaultyFramesError,
    FilesError,
    PromptError,
    RefusalError,
    ReplyError,
    RunInterruptedError,
)
from phyt2v_cli.events import (
    AnalysisDone,
    ControlStarted,
    Emit,
    Notice,
    Purpose,
    RoundDone,
    RoundStarted,
    Stage,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.interfaces import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer
from phyt2v_cli.prompts import (
    CAPTION_INSTRUCTION,
    MismatchReply,
    PhysicsAnalysis,
    RefinedPrompt,
    analysis_request,
    ask,
    find_fault_in_refinement,
    mismatch_request,
    refinement_request,
)
from phyt2v_cli.records import (
    CONTROL_VIDEO,
    AnalysisRecord,
    MismatchRecord,
    ResultRecord,
    RoundRecord,
    ScorerRecord,
    ScoresRecord,
    StopReason,
    storable_text,
)
from phyt2v_cli.render import another_seed, render_video
from phyt2v_cli.run_dir import RunDir
from phyt2v_cli.schedule import video_name
from phyt2v_cli.selection import select_result


@dataclass(frozen=True)
class Roles:
    """Who plays the four roles."""

    load_generator: Callable[[], VideoGenerator]
    """Called at most once, after the physics analysis is there, and not at all where no video is missing."""
    llm: ChatModel
    captioner: VideoCaptioner
    scorers: Sequence[VideoScorer]
    """The first decides; the scores of the others are kept beside its own."""


@dataclass(frozen=True)
class RunResult:
    """The video that a run hands back."""

    round: int | None
    """None where the control won."""
    video: Path
    prompt: str
    selected_by: str
    """``last``; ``best``; or ``last_unscored`` where `best` was asked for and a scorer abstained."""
    stop_reason: str | None


def refine(run: RunDir, roles: Roles, *, emit: Emit, cancelled: Callable[[], bool]) -> RunResult:
    """Do what is left of `run` and return its result.

    Raises RunInterruptedError once `cancelled()` is true, between stages and between denoising steps; the
    run can go on later. Raises PromptError where the original prompt is longer than the text encoder reads,
    BackendError where a role fails, FilesError where something cannot be written.
    """
    try:
        return _Loop(run, roles, emit, cancelled).complete()
    except BaseException as error:
        # Once a signal has come, work may be abandoned anywhere, and then fails with anything.
        interrupted = isinstance(error, RunInterruptedError | KeyboardInterrupt) or cancelled()
        run.record.status = "interrupted" if interrupted else "failed"
        with suppress(FilesError):  # what went wrong first is what the user must hear
            run.save()
        raise


class _Loop:
    """What the parts of one `refine` share."""

    def __init__(self, run: RunDir, roles: Roles, emit: Emit, cancelled: Callable[[], bool]) -> None:
        self.run = run
        self.roles = roles
        self.emit = emit
        self.cancelled = cancelled
        self.config = run.config
        self.original_prompt = run.record.prompt
        self.generator = cache(self._load_generator)

    def complete(self) -> RunResult:
        self._tell_notices()
        analysis = self._analyse()
        rounds = self._complete_rounds(analysis)
        control = self._complete_control() if self.config.refinement.control else None
        return self._hand_back(rounds, control)

    def _analyse(self) -> PhysicsAnalysis:
        run = self.run
        if run.record.analysis is None:
            self._begin()
            reply = ask(
                self.roles.llm,
                analysis_request(self.original_prompt),
                PhysicsAnalysis,
                on_reply=run.count_reply,
            )
            run.record.analysis = AnalysisRecord(
                main_object=reply.main_object, physical_law=reply.physical_law
            )
            run.save()
        known = run.record.analysis
        self.emit(AnalysisDone(known.main_object, known.physical_law))
        return PhysicsAnalysis(main_object=known.main_object, physical_law=known.physical_law)

    def _complete_rounds(self, analysis: PhysicsAnalysis) -> list[RoundRecord]:
        """Complete the planned rounds, or fewer where early stop ends them; the last is a final."""
        plan = self.run.record.plan
        rounds: list[RoundRecord] = []
        prompt, stop_reason = self.original_prompt, None
        for planned in plan:
            is_last = planned.round == len(plan) or stop_reason is not None
            record = self.run.read_round(planned.round) or self._rebuild_round(
                planned.round,
                prompt,
                steps=plan[-1].steps if is_last else planned.steps,
                purpose="final" if is_last else planned.purpose,
            )
            total = planned.round if is_last else len(plan)
            self.emit(RoundStarted(planned.round, total, record.steps, record.purpose, record.prompt))
            self._complete_video(record)
            if not is_last:
                self._find_mismatch(record, analysis)
                stop_reason = self._reason_to_stop(record)
                self._refine(record, analysis, keep=stop_reason is not None)
                prompt = record.refined_prompt or record.prompt
            rounds.append(record)
            self.emit(_round_done(planned.round, record))
            # A draft that is good enough is followed by its final; a final is that already.
            if is_last or (stop_reason is not None and record.purpose == "final"):
                break
        self.run.record.stop_reason = stop_reason
        return rounds

    def _rebuild_round(self, number: int, prompt: str, *, steps: int, purpose: Purpose) -> RoundRecord:
        """Return a fresh record; where only this was lost, the next round knows its refined prompt."""
        following = self.run.read_round(number + 1)
        return RoundRecord(
            round=number,
            prompt=prompt,
            steps=steps,
            purpose=purpose,
            seed=self.config.run.seed,
            video=video_name(number),
            run_key=self.run.key,
            refined_prompt=following.prompt if following is not None else None,
        )

    def _complete_control(self) -> RoundRecord:
        steps = self.run.record.plan[-1].steps
        self.emit(ControlStarted(steps))
        record = self.run.read_control() or RoundRecord(
            round=None,
            prompt=self.original_prompt,
            steps=steps,
            purpose="final",
            seed=self.config.run.seed,
            video=CONTROL_VIDEO,
            run_key=self.run.key,
        )
        self._complete_video(record)
        return record

    def _complete_video(self, record: RoundRecord) -> None:
        """Render, caption and score what is missing."""
        run, recorded_sha256 = self.run, record.sha256
        has_video = run.has_video(record)
        self._tell_notices()
        if not has_video:
            self._render(record)
        if record.sha256 != recorded_sha256:
            if recorded_sha256 is not None:
                # Another machine may round differently; what was seen in the lost video does not count here.
                record.caption, record.scores, record.scorers = None, None, {}
                record.flags.append("rerendered")
            run.save_round(record)
        run.drop_latents(record)
        if record.caption is None:
            with self._stage(record, "caption"):
                caption = self.roles.captioner.caption(run.video_path(record), CAPTION_INSTRUCTION)
                record.caption = storable_text(caption)
        if record.scores is None:
            with self._stage(record, "score"):
                # The original prompt, whatever this video was made from.
                for scorer in self.roles.scorers:
                    if scorer.name not in record.scorers:
                        scores = scorer.score(run.video_path(record), self.original_prompt)
                        record.scorers[scorer.name] = ScorerRecord.of(scores, scorer.name)
                        run.save_round(record)
                decisive = record.scorers[self.roles.scorers[0].name]
                record.scores = ScoresRecord(
                    semantic_adherence=decisive.semantic_adherence,
                    physical_commonsense=decisive.physical_commonsense,
                )

    def _render(self, record: RoundRecord) -> None:
        self._begin()
        generator = self.generator()
        if generator.count_excess_tokens(record.prompt) and "truncated_prompt" not in record.flags:
            record.flags.append("truncated_prompt")
        self.run.save_round(record)

        try:
            record.sha256 = self._render_once(generator, record)
        except FaultyFramesError as error:
            self.run.drop_latents(record)
            if "reseeded" in record.flags:
                raise FaultyFramesError(
                    f"{record.video}: {error}, with another seed too. Change the prompt, the steps or the "
                    "size, or compute in float32 with --set generator.dtype=float32."
                ) from error
            record.flags.append("reseeded")
            record.seed = another_seed(record.seed)
            self.run.save_round(record)
            self.emit(Notice(f"{error}; trying once with another seed, {record.seed}"))
            self._render(record)
            return
        record.generator |= generator.settings

    def _render_once(self, generator: VideoGenerator, record: RoundRecord) -> str:
        def on_step(step: int, steps: int) -> None:
            self.emit(StepDone(record.round or 0, step, steps))
            record.generator = dict(generator.settings)
            self._begin()

        return render_video(
            generator,
            record.prompt,
            seed=record.seed,
            num_inference_steps=record.steps,
            video_path=self.run.video_path(record),
            round_number=record.round,
            latents_path=self.run.latents_path(record),
            draft=record.purpose == "draft",
            on_step=on_step,
            stage=partial(self._stage, record),
        )

    def _find_mismatch(self, record: RoundRecord, analysis: PhysicsAnalysis) -> None:
        if record.mismatch is not None or "mismatch_unusable" in record.flags:
            return
        with self._stage(record, "mismatch"):
            request = mismatch_request(
                original_prompt=self.original_prompt,
                prompt=record.prompt,
                analysis=analysis,
                caption=record.caption or "",
                scores=record.all_scores(),
            )
            try:
                reply = ask(self.roles.llm, request, MismatchReply, on_reply=self.run.count_reply)
            except ReplyError as error:
                record.flags += _flags("mismatch", error)
                self.emit(Notice(f"{error}; the prompt is kept"))
            else:
                record.mismatch = MismatchRecord(found=reply.found, text=reply.text if reply.found else "")

    def _reason_to_stop(self, record: RoundRecord) -> StopReason | None:
        if not self.config.refinement.early_stop:
            return None
        if record.mismatch is not None and not record.mismatch.found:
            return "no_mismatch"
        pair = record.score_pair()
        return "stop_score" if pair is not None and min(pair) >= self.config.refinement.stop_score else None

    def _refine(self, record: RoundRecord, analysis: PhysicsAnalysis, *, keep: bool) -> None:
        """Set the next round's prompt; `keep` keeps this one, as an unusable reply does."""
        if record.refined_prompt is not None:
            return
        if keep or record.mismatch is None:
            record.refined_prompt = record.prompt
            self.run.save_round(record)
            return
        settings = self.config.refinement
        with self._stage(record, "refine"):
            request = refinement_request(
                original_prompt=self.original_prompt,
                prompt=self.original_prompt if settings.rewrite_from == "original" else record.prompt,
                analysis=analysis,
                caption=record.caption or "",
                mismatch=record.mismatch.text,
                scores=record.all_scores(),
                max_words=settings.max_prompt_words,
            )
            find_fault = partial(
                find_fault_in_refinement,
                request=request,
                rendered_prompt=record.prompt,
                excess_tokens=self.generator().count_excess_tokens,
            )
            try:
                reply = ask(
                    self.roles.llm,
                    request,
                    RefinedPrompt,
                    on_reply=self.run.count_reply,
                    find_fault=find_fault,
                )
            except ReplyError as error:
                record.flags += _flags("refinement", error)
                record.refined_prompt = record.prompt
                self.emit(Notice(f"{error}; the prompt is kept"))
            else:
                record.refined_prompt = reply.prompt

    def _hand_back(self, rounds: list[RoundRecord], control: RoundRecord | None) -> RunResult:
        run = self.run
        chosen, selected_by = select_result(rounds, control, self.config.refinement.select)
        before = run.record.model_copy()
        run.record.result = ResultRecord(
            round=chosen.round, video=chosen.video, prompt=chosen.prompt, selected_by=selected_by
        )
        run.record.status = "complete"
        if run.record != before:
            run.save()
        return RunResult(
            chosen.round, run.video_path(chosen), chosen.prompt, selected_by, run.record.stop_reason
        )

    # What every part needs

    def _load_generator(self) -> VideoGenerator:
        generator = self.roles.load_generator()
        gc.freeze()  # imageio collects garbage on every close: 0.26 s each with torch loaded, now nothing
        excess = generator.count_excess_tokens(self.original_prompt)
        if excess:
            if not self.config.generator.allow_truncation:
                raise PromptError(
                    f"The prompt is {excess} tokens longer than the video model reads; "
                    "shorten it, or let it be cut with --allow-truncation."
                )
            self.emit(Notice(f"the last {excess} tokens of the prompt are beyond what the video model reads"))
        return generator

    @contextmanager
    def _stage(self, record: RoundRecord, stage: Stage) -> Iterator[None]:
        """Time a stage, and save the record when it is done. Events of the control carry round 0."""
        self._begin()
        self.emit(StageStarted(record.round or 0, stage))
        start = time.monotonic()
        yield
        record.seconds[stage] = round(time.monotonic() - start, 3)
        self.run.save_round(record)
        self.emit(StageDone(record.round or 0, stage, record.seconds[stage]))

    def _begin(self) -> None:
        """Stop here if told to; otherwise there is work, so the run is running."""
        if self.cancelled():
            raise RunInterruptedError("The run was stopped; the same command goes on where it was.")
        if self.run.record.status != "running":
            self.run.record.status = "running"
            self.run.save()

    def _tell_notices(self) -> None:
        while self.run.notices:
            self.emit(Notice(self.run.notices.pop(0)))


def _flags(task: str, error: ReplyError) -> list[str]:
    return [f"{task}_unusable", *(["refused"] if isinstance(error, RefusalError) else [])]


def _round_done(number: int, record: RoundRecord) -> RoundDone:
    return RoundDone(
        round=number,
        purpose=record.purpose,
        seconds=sum(record.seconds.values()),
        scores=record.all_scores(),
        mismatch=record.mismatch.text if record.mismatch is not None and record.mismatch.found else None,
        refined_prompt=record.refined_prompt,
        flags=tuple(record.flags),
        scorers=record.scores_by_scorer(),
    )
