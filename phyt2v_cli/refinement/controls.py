"""Controls of a run: videos at full steps that show what the same compute gives without rounds.

The original prompt, one rewrite of it by an LLM that has seen no video, and the original prompt with further
seeds. Knows one record at a time and the blind prompt, but not the order of the rounds or what is selected.
"""

from collections.abc import Sequence

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.events import ControlStarted, Notice
from phyt2v_cli.refinement.motion_guard import flag_if_stilled
from phyt2v_cli.refinement.prompts import PhysicsAnalysis
from phyt2v_cli.refinement.rewriting import rewrite
from phyt2v_cli.refinement.round import Session, complete_video
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.runs.outcome.candidates import steps_of_rounds
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import JUDGEMENT_FLAGS, VideoRecord
from phyt2v_cli.schedule import controls_of
from phyt2v_cli.video_id import BLIND, CONTROL, ControlId, RoundId


def complete_controls(
    session: Session, analysis: PhysicsAnalysis, rounds: Sequence[VideoRecord]
) -> list[VideoRecord]:
    """Complete the controls that the run wants, after its `rounds`, of which each has its chosen video.

    Raises as `complete_video` does.
    """
    run = session.run
    final_steps = run.record.plan[-1].steps
    total_steps = steps_of_rounds(read_videos(run.path)[0], len(rounds))
    first = run.read_video(RoundId(1))
    records = []
    for id in controls_of(run.config.refinement, total_steps=total_steps, final_steps=final_steps):
        session.emit(ControlStarted(id, final_steps))
        record = run.read_video(id) or _begin(session, id, analysis, rounds, final_steps)
        complete_video(session, record, main_object=analysis.main_object)
        if first is not None and flag_if_stilled(record, first, run.record.prompt):
            run.save_video(record)
        records.append(record)
    return records


def _begin(
    session: Session,
    id: ControlId,
    analysis: PhysicsAnalysis,
    rounds: Sequence[VideoRecord],
    steps: int,
) -> VideoRecord:
    """New record of a control. If a round left it its latents, its caption and scores are copied."""
    run = session.run
    if id == BLIND:
        return _begin_blind(session, analysis, steps)
    seed = candidate_seed(run.config.run.seed, id.candidate)
    record = run.new_video(id, prompt=run.record.prompt, steps=steps, purpose="final", seed=seed)
    same = next((one for one in rounds if one.pixels_key == record.pixels_key), None)
    if id == CONTROL and same is not None and run.latents_path(CONTROL).is_file():
        made = same.model_copy(deep=True)
        record.generator, record.caption = made.generator, made.caption
        record.scores, record.scorers, record.motion = made.scores, made.scorers, made.motion
        record.flags += [flag for flag in JUDGEMENT_FLAGS if flag in made.flags]
    return record


def _begin_blind(session: Session, analysis: PhysicsAnalysis, steps: int) -> VideoRecord:
    """New record of the blind rewrite, saved with its prompt; the original prompt if no usable one comes."""
    run = session.run
    session.begin()
    problem = None
    try:
        prompt = rewrite(session, analysis, None)
    except ReplyError as error:
        prompt, problem = run.record.prompt, error
    record = run.new_video(BLIND, prompt=prompt, steps=steps, purpose="final")
    if problem is not None:
        record.flag_unusable("refinement", problem)
        session.emit(Notice(f"{problem.message}; the blind rewrite is the original prompt", problem.hint))
    run.save_video(record)
    return record
