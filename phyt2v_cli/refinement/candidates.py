"""One round: its candidates are rendered and judged, and one of them is chosen to continue with.

Candidates differ in their seed, in their prompt, or in both. With looks they are judged by what the model
predicts after their first steps, and only the chosen one takes the others. Knows one round and what it begins
with; it does not know mismatches, the order of the rounds or their steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.events import CandidateDone, Notice, RoundStarted
from phyt2v_cli.refinement.motion_guard import flag_if_stilled
from phyt2v_cli.refinement.prompts import PhysicsAnalysis
from phyt2v_cli.refinement.rewriting import rewrite
from phyt2v_cli.refinement.round import Session, complete_video
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.runs.outcome.candidates import best_of
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.video_id import LETTERS, RoundId


@dataclass(frozen=True)
class Start:
    """What a round begins with."""

    prompt: str
    seed: int
    before: VideoRecord | None = None
    """Video of the round before, which the prompt came from; None in the first round."""
    first: VideoRecord | None = None
    """First video of the first round, whose motion the others are compared with."""


def complete_round(
    session: Session,
    analysis: PhysicsAnalysis,
    start: Start,
    planned: PlannedRound,
    *,
    total_rounds: int,
) -> VideoRecord:
    """Complete the candidates of a round, and return the one that is chosen, with its caption.

    The candidate that the scorers like best is chosen, and marked in its record; of equal ones the first that
    is not stilled. Raises as `complete_video` does, and BackendError if the LLM fails.
    """
    run = session.run
    is_last = planned.round == total_rounds
    has_several = planned.num_candidates > 1
    known = {id: record for id in planned.ids if (record := run.read_video(id)) is not None}
    if not known:
        run.keep_trajectory(None if start.before is None else start.before.id, planned.id)
    is_decided = any(record.is_chosen for record in known.values())
    records: list[VideoRecord] = []

    def complete(record: VideoRecord, *, is_captioned: bool) -> None:
        assert isinstance(record.id, RoundId)
        session.emit(RoundStarted(record.id, total_rounds, record.steps, record.purpose, record.prompt))
        complete_video(session, record, main_object=analysis.main_object, is_captioned=is_captioned)
        if flag_if_stilled(record, start.first or next(iter(records), record), run.record.prompt):
            run.save_video(record)

    for id in planned.ids:
        record = known.get(id)
        if record is None and id.candidate and is_decided:
            continue  # it was left out, and is not asked for again
        record = record or _begin(session, analysis, start, planned, id, records, is_last=is_last)
        if record is None:
            continue
        complete(record, is_captioned=not has_several)
        records.append(record)
        if has_several:
            session.emit(CandidateDone(id, record.purpose, sum(record.seconds.values()), record.all_scores()))
    chosen = next((record for record in records if record.is_chosen), None)
    chosen = chosen or best_of(records, run.config.scorer.decide, run.config.search.tie)
    if has_several:
        is_look = chosen.steps < planned.steps
        if not chosen.is_chosen:
            chosen.is_chosen = True
            if is_look:
                run.go_on(chosen, planned)
            run.save_video(chosen)
        if is_look:
            complete(chosen, is_captioned=True)
        else:
            complete_video(session, chosen, main_object=analysis.main_object)
        run.keep_trajectory(chosen.id)
    return chosen


def _trajectory_steps(session: Session, planned: PlannedRound) -> int | None:
    """Steps of the denoising of which a round's videos take theirs; None if each has one to itself."""
    if session.run.config.schedule.share_trajectory:
        final_steps = session.run.record.plan[-1].steps
        return final_steps if planned.steps <= final_steps else None
    return None if planned.look_steps is None else planned.steps


def _begin(
    session: Session,
    analysis: PhysicsAnalysis,
    start: Start,
    planned: PlannedRound,
    id: RoundId,
    before: Sequence[VideoRecord],
    *,
    is_last: bool,
) -> VideoRecord | None:
    """New record of a candidate; None if the LLM has no other prompt for it.

    The first candidate has the prompt and the seed that the round begins with. In the last round the others
    have further seeds of that prompt.
    """
    run = session.run
    vary = "seeds" if is_last else run.config.search.vary
    prompt, seed = start.prompt, start.seed
    if id.candidate and vary != "rewrites":
        seed = _seeds(run.config.run.seed, start.seed)[planned.ids.index(id)]
    if id.candidate and vary != "seeds":
        session.begin()
        others = [record.prompt for record in before if record.prompt != run.record.prompt]
        try:
            prompt = rewrite(session, analysis, start.before, others)
        except ReplyError as error:
            session.emit(Notice(f"{error.message}; {id.label.lower()} is left out", error.hint))
            return None
    record = run.new_video(
        id,
        prompt=prompt,
        steps=planned.look_steps or planned.steps,
        purpose=planned.purpose if planned.look_steps is None else "draft",
        seed=seed,
        trajectory_steps=_trajectory_steps(session, planned),
    )
    if id.candidate:
        run.save_video(record)
    return record


def _seeds(run_seed: int, first: int) -> list[int]:
    """Seeds of a round's candidates: the one to continue with, then those of the run."""
    pool = [candidate_seed(run_seed, letter) for letter in ("", *LETTERS)]
    return [first, *(seed for seed in pool if seed != first)]
