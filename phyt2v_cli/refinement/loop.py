"""Refinement loop (PhyT2V): straight-line code for one prompt over the four roles.

It knows no backend, no terminal and no torch. Each stage is saved before the next one starts, and a stage is
done if the record has its result. So a killed run redoes at most the stage that it was in, and running a
complete run does nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from pydantic import ValidationError

from phyt2v_cli.errors import FilesError, ReplyError, RunInterruptedError, RunPausedError
from phyt2v_cli.events import AnalysisDone, Emit, Notice, RoundDone
from phyt2v_cli.refinement.candidates import Start, complete_round
from phyt2v_cli.refinement.controls import complete_controls
from phyt2v_cli.refinement.motion_guard import note_on
from phyt2v_cli.refinement.prompts import (
    MismatchReply,
    PhysicsAnalysis,
    analysis_request,
    ask,
    mismatch_request,
)
from phyt2v_cli.refinement.rewriting import rewrite
from phyt2v_cli.refinement.round import Session
from phyt2v_cli.refinement.selection import select_result_of
from phyt2v_cli.refinement.steering.budget import Budget
from phyt2v_cli.refinement.steering.review import Proposal, Review
from phyt2v_cli.roles import Roles
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.opening import finish_attempt
from phyt2v_cli.runs.outcome.candidates import is_stilled
from phyt2v_cli.runs.outcome.result import RunResult, result_of
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import (
    AnalysisRecord,
    MismatchRecord,
    PlanRecord,
    StopReason,
    VideoRecord,
)
from phyt2v_cli.runs.stopping import StopFile
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.video_id import RoundId

StopAfter = Literal["rewrite"]


def refine(
    run: RunDir,
    roles: Roles,
    *,
    emit: Emit,
    cancelled: Callable[[], bool],
    review: Review | None = None,
    stop_after: StopAfter | None = None,
) -> RunResult:
    """Do what is left of `run` and return its result.

    `review` decides on each rewritten prompt, once. With `stop_after` the call ends with RunPausedError after
    the next rewrite. Raises RunInterruptedError once `cancelled()` is true, between stages and between
    denoising steps; the run can be resumed. Raises PromptError if the original prompt is longer than the
    text encoder reads, BackendError if a role fails, FilesError if something cannot be written.
    """
    stop_file = StopFile(run.path)

    def is_to_stop() -> bool:
        return cancelled() or stop_file.wants("now")

    try:
        return _Loop(Session(run, roles, emit, is_to_stop), review, stop_after, stop_file).complete()
    except BaseException as error:
        # After a signal, work may be abandoned anywhere, and then fails with any exception.
        interrupted = isinstance(error, RunInterruptedError | KeyboardInterrupt) or is_to_stop()
        run.record.status = "interrupted" if interrupted else "failed"
        finish_attempt(run.record)
        with suppress(FilesError):  # the first error is the one to report
            run.save()
        raise


class _Loop:
    """State shared by the parts of one `refine`."""

    def __init__(
        self, session: Session, review: Review | None, stop_after: StopAfter | None, stop_file: StopFile
    ) -> None:
        self.session = session
        self.review = review
        self.budget = Budget(session.run)
        self.stop_after = stop_after
        self.stop_file = stop_file
        self.run = session.run
        self.emit = session.emit
        self.llm = session.roles.llm
        self.config = session.run.config
        self.original_prompt = session.run.record.prompt

    def complete(self) -> RunResult:
        self.session.tell_notices()
        analysis = self._analyse()
        rounds = self._complete_rounds(analysis)
        return self._hand_back(rounds, complete_controls(self.session, analysis, rounds))

    def _analyse(self) -> PhysicsAnalysis:
        run = self.run
        analysis = self._known_analysis()
        if analysis is None:
            self.session.begin()
            analysis = ask(
                self.llm,
                analysis_request(self.original_prompt, instruction=self.session.instructions.get("analysis")),
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
        """Complete the planned rounds, or fewer if early stop ends them; the last one is a final.

        Returns the video of each round that was chosen.
        """
        wanted = self.run.record.planned_rounds
        left = self._fit(wanted, wanted, [])
        last = left[-1]
        chosen_ones: list[VideoRecord] = []
        start, stop_reason = Start(self.original_prompt, self.config.run.seed), None
        while left:
            entry = left.pop(0)
            is_last = not left or stop_reason is not None
            chosen = complete_round(
                self.session,
                analysis,
                start,
                replace(last, round=entry.round) if is_last else entry,
                total_rounds=entry.round + (0 if is_last else len(left)),
            )
            self._recover_refined_prompt(chosen)
            if not is_last:
                first = start.first or self.run.read_video(RoundId(1))
                self._find_mismatch(chosen, analysis, first)
                stop_reason = self._reason_to_stop(chosen, entry.round)
                is_new = chosen.refined_prompt is None
                self._refine(chosen, analysis, keep=stop_reason is not None)
                if stop_reason is None:
                    self._review(chosen, entry.round, entry.round + len(left))
                    stop_reason = self._reason_to_stop(chosen, entry.round)
                if stop_reason is None:
                    left = self._fit(left, wanted[entry.round :], [*chosen_ones, chosen])
                if is_new and self.stop_after == "rewrite":
                    self._pause(chosen)
                seed = start.seed if "reseeded" in chosen.flags else chosen.seed
                start = Start(chosen.refined_prompt or chosen.prompt, seed, chosen, first)
            chosen_ones.append(chosen)
            self.emit(_round_done(chosen))
            # A draft that is good enough is followed by a final; a final needs no other.
            if is_last or (stop_reason is not None and chosen.purpose == "final"):
                break
        self.run.record.stop_reason = stop_reason
        return chosen_ones

    def _fit(
        self, left: Sequence[PlannedRound], wanted: Sequence[PlannedRound], done: Sequence[VideoRecord]
    ) -> list[PlannedRound]:
        """Fit the wanted rounds to the budget; a plan that is other than what was `left` is recorded."""
        if self.run.record.status == "complete" or self.run.read_video(left[0].id) is not None:
            return list(left)  # the next one has begun
        fitting, words = self.budget.fit(wanted, done)
        if fitting != list(left):
            words = words or "there is time for all that was planned"
            self.emit(Notice(words))
            record = self.run.record
            record.plan = [*record.plan[: len(done)], *map(PlanRecord.of, fitting)]
            record.note_replan(words)
            self.run.save()
        elif words and len(wanted) == 1:
            self.emit(Notice(words))
        return fitting

    def _recover_refined_prompt(self, chosen: VideoRecord) -> None:
        """Set the refined prompt of a round whose record was lost: the next round has it."""
        if chosen.refined_prompt is None and isinstance(chosen.id, RoundId):
            following = self.run.read_video(RoundId(chosen.id.number + 1))
            chosen.refined_prompt = following.prompt if following is not None else None

    def _find_mismatch(
        self, record: VideoRecord, analysis: PhysicsAnalysis, first: VideoRecord | None
    ) -> None:
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
                instruction=self.session.instructions.get("mismatch"),
            )
            try:
                reply = ask(self.llm, request, MismatchReply, on_reply=self.session.count_reply)
            except ReplyError as error:
                record.flag_unusable("mismatch", error)
                self.emit(Notice(f"{error.message}; the prompt is kept", error.hint))
            else:
                stilled = None if first is None else note_on(record, first, self.original_prompt)
                text = reply.text if reply.found else ""
                if stilled is not None:
                    text = f"{text.rstrip('. ')}. {stilled}" if text else stilled
                record.mismatch = MismatchRecord(found=bool(text), text=text)

    def _reason_to_stop(self, record: VideoRecord, number: int) -> StopReason | None:
        if number <= self.run.record.extended_after:
            return None
        if record.ends_drafts:
            return "user"
        if not self.config.refinement.early_stop:
            return None
        if is_stilled(record):
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
        _ = self.session.generator  # which counts tokens, and is loaded outside of what is timed
        with self.session.stage(record, "refine"):
            try:
                record.refined_prompt = rewrite(self.session, analysis, record)
            except ReplyError as error:
                record.flag_unusable("refinement", error)
                record.refined_prompt = record.prompt
                self.emit(Notice(f"{error.message}; the prompt is kept", error.hint))

    def _review(self, record: VideoRecord, number: int, total_rounds: int) -> None:
        """Let the user decide on the next round's prompt, unless that was decided before."""
        if self.run.record.status != "complete" and self.stop_file.wants("final"):
            self.stop_file.forget()
            record.ends_drafts = True
            self.run.save_video(record)
            return
        if self.review is None or record.review is not None or record.refined_prompt is None:
            return
        found = record.mismatch is not None and record.mismatch.found
        proposal = Proposal(
            round=number,
            total_rounds=total_rounds,
            original_prompt=self.original_prompt,
            prompt=record.prompt,
            proposed_prompt=record.refined_prompt,
            caption=record.caption,
            mismatch=record.mismatch.text if record.mismatch is not None and found else None,
            scores=record.all_scores(),
        )
        decision = self.review(proposal)
        self.session.begin()
        record.decide(decision.prompt, is_final=decision.is_final)
        self.run.save_video(record)

    def _pause(self, record: VideoRecord) -> None:
        assert record.refined_prompt is not None
        self.emit(_round_done(record))
        raise RunPausedError(
            f"The run waits after {record.id.label.lower()}, as asked.",
            "Continue with `resume`, with another prompt if you like.",
            next_prompt=record.refined_prompt,
        )

    def _hand_back(self, rounds: list[VideoRecord], controls: list[VideoRecord]) -> RunResult:
        run = self.run
        before = run.record.model_copy()
        run.record.result = select_result_of(run, rounds, controls)
        run.record.status = "complete"
        run.keep_trajectory(None)
        finish_attempt(run.record)
        if run.record != before:
            run.save()
        return result_of(read_run(run.path))


def _round_done(record: VideoRecord) -> RoundDone:
    assert isinstance(record.id, RoundId)
    return RoundDone(
        video=record.id,
        purpose=record.purpose,
        seconds=sum(record.seconds.values()),
        scores=record.all_scores(),
        mismatch=record.mismatch.text if record.mismatch is not None and record.mismatch.found else None,
        refined_prompt=record.refined_prompt,
        flags=tuple(record.flags),
        scorers=record.scores_by_scorer(),
        review=record.review,
    )
