"""One round: its candidates are rendered and judged, and one of them is chosen to go on with.

Candidates differ in their seed, in their prompt, or in both. Knows one round and what it begins with; it does
not know mismatches, the order of the rounds or their steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.events import CandidateDone, Notice, RoundStarted
from phyt2v_cli.refinement.motion_guard import flag_if_stilled
from phyt2v_cli.refinement.prompts import PhysicsAnalysis
from phyt2v_cli.refinement.rewriting import rewrite
from phyt2v_cli.refinement.round import Session, complete_video
from phyt2v_cli.runs.candidates import best_of
from phyt2v_cli.runs.identity import candidate_seed
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
    is_decided = any(record.is_chosen for record in known.values())
    records: list[VideoRecord] = []
    for id in planned.ids:
        record = known.get(id)
        if record is None and id.candidate and is_decided:
            continue  # it was left out, and is not asked for again
        record = record or _begin(session, analysis, start, planned, id, records, is_last=is_last)
        if record is None:
            continue
        session.emit(RoundStarted(id, total_rounds, record.steps, record.purpose, record.prompt))
        complete_video(session, record, main_object=analysis.main_object, is_captioned=not has_several)
        records.append(record)
        if flag_if_stilled(record, start.first or records[0], run.record.prompt):
            run.save_video(record)
        if has_several:
            session.emit(CandidateDone(id, record.purpose, sum(record.seconds.values()), record.all_scores()))
    chosen = next((record for record in records if record.is_chosen), None)
    chosen = chosen or best_of(records, run.config.scorer.decide, run.config.search.tie)
    if has_several:
        if not chosen.is_chosen:
            chosen.is_chosen = True
            run.save_video(chosen)
        complete_video(session, chosen, main_object=analysis.main_object)
    return chosen


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
    record = run.new_video(id, prompt=prompt, steps=planned.steps, purpose=planned.purpose, seed=seed)
    if id.candidate:
        run.save_video(record)
    return record


def _seeds(run_seed: int, first: int) -> list[int]:
    """Seeds of a round's candidates: the one to go on with, then those of the run."""
    pool = [candidate_seed(run_seed, letter) for letter in ("", *LETTERS)]
    return [first, *(seed for seed in pool if seed != first)]
