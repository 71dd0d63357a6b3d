"""Rerendering: the prompt of one round again, at full steps or with another seed, as a part of the run.

Knows one video; it does not know the order of the rounds.
"""

from collections.abc import Callable

from phyt2v_cli.errors import UsageError
from phyt2v_cli.events import Emit, RerenderStarted
from phyt2v_cli.refinement.motion_guard import flag_if_stilled
from phyt2v_cli.refinement.round import Session, complete_video
from phyt2v_cli.refinement.selection import select_result_of
from phyt2v_cli.roles import Roles
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.opening import finish_attempt
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import ControlId, RerenderId, RoundId


def rerender_of(
    run: RunDir, number: int, *, steps: int | None = None, seed: int | None = None
) -> VideoRecord:
    """Record of a rerendered round: the one that is there with the same pixels, or a new one, not yet saved.

    The defaults are the steps of the run's final and the seed of the round's video. Raises UsageError if the
    run has no video of that round.
    """
    videos = read_videos(run.path)[0]
    rounds = {one.id.number: one for one in chosen_rounds(videos) if isinstance(one.id, RoundId)}
    if number not in rounds:
        known = ", ".join(map(str, rounds)) or "none"
        raise UsageError(f"{run.path} has no video of round {number}; it has those of: {known}")
    of, final_steps = rounds[number], run.record.plan[-1].steps
    steps = final_steps if steps is None else steps
    again = {one.id: one for one in videos if isinstance(one.id, RerenderId) and one.id.number == number}
    index = next(index for index in range(1, len(again) + 2) if RerenderId(number, index) not in again)
    record = run.new_video(
        RerenderId(number, index),
        prompt=of.prompt,
        steps=steps,
        purpose="draft" if steps < final_steps else "final",
        seed=of.seed if seed is None else seed,
    )
    return next((one for one in again.values() if one.pixels_key == record.pixels_key), record)


def rerender(
    run: RunDir, roles: Roles, record: VideoRecord, *, emit: Emit, cancelled: Callable[[], bool]
) -> VideoRecord:
    """Render, caption and score what is missing of a record by `rerender_of`, and return it.

    The run's status stays what it was; its result is selected again. Raises as `refine` does.
    """
    session = Session(run, roles, emit, cancelled)
    status = run.record.status
    analysis, first = run.record.analysis, run.read_video(RoundId(1))
    try:
        session.tell_notices()
        assert isinstance(record.id, RerenderId)
        emit(RerenderStarted(record.id, record.steps, record.purpose))
        complete_video(session, record, main_object="" if analysis is None else analysis.main_object)
        if first is not None and flag_if_stilled(record, first, run.record.prompt):
            run.save_video(record)
        if run.record.result is not None:
            videos = read_videos(run.path)[0]
            controls = [video for video in videos if isinstance(video.id, ControlId)]
            run.record.result = select_result_of(run, chosen_rounds(videos), controls)
    finally:
        run.record.status = status
        finish_attempt(run.record)
        run.save()
    return record
