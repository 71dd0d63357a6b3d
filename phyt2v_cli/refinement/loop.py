"""Refinement loop (PhyT2V): straight-line code for one prompt over the four roles.

It knows no backend, no terminal and no torch. Each stage is saved before the next one starts, and a stage is
done if the record has its result. So a killed run redoes at most the stage that it was in, and running a
complete run does nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from pydantic import ValidationError

from phyt2v_cli.config.prompts import read_instructions
from phyt2v_cli.errors import FilesError, ReplyError, RunInterruptedError
from phyt2v_cli.events import AnalysisDone, ControlStarted, Emit, Notice, Purpose, RoundDone, RoundStarted
from phyt2v_cli.refinement.prompts import (
    MismatchReply,
    PhysicsAnalysis,
    RefinedPrompt,
    analysis_request,
    ask,
    find_fault_in_refinement,
    mismatch_request,
    refinement_request,
)
from phyt2v_cli.refinement.round import Session, complete_video
from phyt2v_cli.refinement.selection import select_result
from phyt2v_cli.roles import Roles
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import (
    JUDGEMENT_FLAGS,
    AnalysisRecord,
    MismatchRecord,
    ResultRecord,
    StopReason,
    VideoRecord,
)
from phyt2v_cli.runs.result import RunResult, result_of
from phyt2v_cli.video_id import CONTROL, RoundId


def refine(run: RunDir, roles: Roles, *, emit: Emit, cancelled: Callable[[], bool]) -> RunResult:
    """Do what is left of `run` and return its result.

    Raises RunInterruptedError once `cancelled()` is true, between stages and between denoising steps; the run
    can go on later. Raises PromptError if the original prompt is longer than the text encoder reads,
    BackendError if a role fails, FilesError if something cannot be written.
    """
    try:
        return _Loop(Session(run, roles, emit, cancelled)).complete()
    except BaseException as error:
        # After a signal, work may be abandoned anywhere, and then fails with any exception.
        interrupted = isinstance(error, RunInterruptedError | KeyboardInterrupt) or cancelled()
        run.record.status = "interrupted" if interrupted else "failed"
        with suppress(FilesError):  # the first error is the one to report
            run.save()
        raise


class _Loop:
    """State shared by the parts of one `refine`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.run = session.run
        self.emit = session.emit
        self.llm = session.roles.llm
        self.config = session.run.config
        self.original_prompt = session.run.record.prompt
        is_complete = session.run.record.status == "complete"
        prompts = self.config.prompts
        self.instructions = {} if is_complete else read_instructions(prompts, has_begun=True)

    def complete(self) -> RunResult:
        self.session.tell_notices()
        analysis = self._analyse()
        rounds = self._complete_rounds(analysis)
        control = self._complete_control(analysis, rounds) if self.config.refinement.control else None
        return self._hand_back(rounds, control)

    def _analyse(self) -> PhysicsAnalysis:
        run = self.run
        analysis = self._known_analysis()
        if analysis is None:
            self.session.begin()
            analysis = ask(
                self.llm,
                analysis_request(self.original_prompt, instruction=self.instructions.get("analysis")),
                PhysicsAnalysis,
                on_reply=self.session.count_reply,
            )
            run.record.analysis = AnalysisRecord(
                main_object=analysis.main_object, physical_law=analysis.physical_law
            )
            run.save()
        self.emit(AnalysisDone(analysis.main_object, analysis.physical_law))
        return analysis

    def _known_analysis(self) -> PhysicsAnalysis | None:
        """Analysis in the record, if there is one that a reply could have given."""
        known = self.run.record.analysis
        if known is None:
            return None
        try:
            return PhysicsAnalysis(main_object=known.main_object, physical_law=known.physical_law)
        except ValidationError:
            self.emit(Notice("the physics analysis in run.json cannot be used, and is asked for again"))
            return None

    def _complete_rounds(self, analysis: PhysicsAnalysis) -> list[VideoRecord]:
        """Complete the planned rounds, or fewer if early stop ends them; the last one is a final."""
        plan = self.run.record.plan
        rounds: list[VideoRecord] = []
        prompt, stop_reason = self.original_prompt, None
        for planned in plan:
            is_last = planned.round == len(plan) or stop_reason is not None
            record = self.run.read_video(planned.id) or self._rebuild_round(
                planned.id,
                prompt,
                steps=plan[-1].steps if is_last else planned.steps,
                purpose="final" if is_last else planned.purpose,
            )
            total = planned.round if is_last else len(plan)
            self.emit(RoundStarted(planned.id, total, record.steps, record.purpose, record.prompt))
            complete_video(self.session, record, main_object=analysis.main_object)
            if not is_last:
                self._find_mismatch(record, analysis)
                stop_reason = self._reason_to_stop(record)
                self._refine(record, analysis, keep=stop_reason is not None)
                prompt = record.refined_prompt or record.prompt
            rounds.append(record)
            self.emit(_round_done(planned.id, record))
            # A draft that is good enough is followed by a final; a final needs no other.
            if is_last or (stop_reason is not None and record.purpose == "final"):
                break
        self.run.record.stop_reason = stop_reason
        return rounds

    def _rebuild_round(self, id: RoundId, prompt: str, *, steps: int, purpose: Purpose) -> VideoRecord:
        """New record of a round. If only its record was lost, the next round has its refined prompt."""
        record = self.run.new_video(id, prompt=prompt, steps=steps, purpose=purpose)
        following = self.run.read_video(RoundId(id.number + 1))
        record.refined_prompt = following.prompt if following is not None else None
        return record

    def _complete_control(self, analysis: PhysicsAnalysis, rounds: list[VideoRecord]) -> VideoRecord:
        steps = self.run.record.plan[-1].steps
        self.emit(ControlStarted(CONTROL, steps))
        record = self.run.read_video(CONTROL) or self._begin_control(rounds, steps)
        complete_video(self.session, record, main_object=analysis.main_object)
        return record

    def _begin_control(self, rounds: list[VideoRecord], steps: int) -> VideoRecord:
        """New record of the control. If a round left it its latents, its caption and scores are copied."""
        record = self.run.new_video(CONTROL, prompt=self.original_prompt, steps=steps, purpose="final")
        same = next((one for one in rounds if one.pixels_key == record.pixels_key), None)
        if same is not None and self.run.latents_path(CONTROL).is_file():
            made = same.model_copy(deep=True)
            record.generator, record.caption = made.generator, made.caption
            record.scores, record.scorers = made.scores, made.scorers
            record.flags += [flag for flag in JUDGEMENT_FLAGS if flag in made.flags]
        return record

    def _find_mismatch(self, record: VideoRecord, analysis: PhysicsAnalysis) -> None:
        # Without a caption there is nothing to compare.
        if record.mismatch is not None or record.caption is None or record.is_unusable("mismatch"):
            return
        with self.session.stage(record, "mismatch"):
            request = mismatch_request(
                original_prompt=self.original_prompt,
                prompt=record.prompt,
                analysis=analysis,
                caption=record.caption,
                scores=record.all_scores(),
                instruction=self.instructions.get("mismatch"),
            )
            try:
                reply = ask(self.llm, request, MismatchReply, on_reply=self.session.count_reply)
            except ReplyError as error:
                record.flag_unusable("mismatch", error)
                self.emit(Notice(f"{error.message}; the prompt is kept", error.hint))
            else:
                record.mismatch = MismatchRecord(found=reply.found, text=reply.text if reply.found else "")

    def _reason_to_stop(self, record: VideoRecord) -> StopReason | None:
        if not self.config.refinement.early_stop:
            return None
        if record.mismatch is not None and not record.mismatch.found:
            return "no_mismatch"
        pair = record.score_pair()
        return "stop_score" if pair is not None and min(pair) >= self.config.refinement.stop_score else None

    def _refine(self, record: VideoRecord, analysis: PhysicsAnalysis, *, keep: bool) -> None:
        """Set the next round's prompt. With `keep`, or after an unusable reply, it is this round's prompt."""
        if record.refined_prompt is not None:
            return
        if keep or record.mismatch is None:
            record.refined_prompt = record.prompt
            self.run.save_video(record)
            return
        settings = self.config.refinement
        with self.session.stage(record, "refine"):
            request = refinement_request(
                original_prompt=self.original_prompt,
                prompt=self.original_prompt if settings.rewrite_from == "original" else record.prompt,
                analysis=analysis,
                caption=record.caption or "",
                mismatch=record.mismatch.text,
                scores=record.all_scores(),
                max_words=settings.max_prompt_words,
                instruction=self.instructions.get("refinement"),
            )
            find_fault = partial(
                find_fault_in_refinement,
                request=request,
                rendered_prompt=record.prompt,
                excess_tokens=self.session.generator.count_excess_tokens,
            )
            try:
                reply = ask(
                    self.llm,
                    request,
                    RefinedPrompt,
                    on_reply=self.session.count_reply,
                    find_fault=find_fault,
                )
            except ReplyError as error:
                record.flag_unusable("refinement", error)
                record.refined_prompt = record.prompt
                self.emit(Notice(f"{error.message}; the prompt is kept", error.hint))
            else:
                record.refined_prompt = reply.prompt

    def _hand_back(self, rounds: list[VideoRecord], control: VideoRecord | None) -> RunResult:
        run = self.run
        chosen, selected_by = select_result(rounds, control, self.config.refinement.select)
        before = run.record.model_copy()
        run.record.result = ResultRecord(
            id=chosen.id, video=chosen.video, prompt=chosen.prompt, selected_by=selected_by
        )
        run.record.status = "complete"
        if run.record != before:
            run.save()
        return result_of(read_run(run.path))


def _round_done(id: RoundId, record: VideoRecord) -> RoundDone:
    return RoundDone(
        video=id,
        purpose=record.purpose,
        seconds=sum(record.seconds.values()),
        scores=record.all_scores(),
        mismatch=record.mismatch.text if record.mismatch is not None and record.mismatch.found else None,
        refined_prompt=record.refined_prompt,
        flags=tuple(record.flags),
        scorers=record.scores_by_scorer(),
    )
