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
    """Video of the first round, whose motion the others are compared with."""


def complete_round(
    session: Session,
    analysis: PhysicsAnalysis,
    start: Start,
    planned: PlannedRound,
    *,
    total_rounds: int,
) -> VideoRecord:
    """Complete the candidates of a round, and return the one that is chosen, with its caption.

    The candidate that the deciding scorer likes best is chosen, and marked in its record; of equal ones the
    first that is not stilled. Raises as `complete_video` does, and BackendError if the LLM fails.
    """
    run = session.run
    is_last = planned.round == total_rounds
    has_several = planned.num_candidates > 1
    records: list[VideoRecord] = []
    for id in planned.ids:
        record = run.read_video(id) or _begin(session, analysis, start, planned, id, records, is_last=is_last)
        if record is None:
            continue
        session.emit(RoundStarted(id, total_rounds, record.steps, record.purpose, record.prompt))
        complete_video(session, record, main_object=analysis.main_object, is_captioned=not has_several)
        if start.first is not None and flag_if_stilled(record, start.first, run.record.prompt):
            run.save_video(record)
        records.append(record)
        if has_several:
            session.emit(CandidateDone(id, record.purpose, sum(record.seconds.values()), record.all_scores()))
    chosen = next((record for record in records if record.is_chosen), None) or best_of(
        records, run.config.search.tie
    )
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
