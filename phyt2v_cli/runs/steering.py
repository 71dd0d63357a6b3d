"""Steering of a run between two calls: further rounds, and a prompt of one's own. Knows records; no loop."""

from phyt2v_cli.errors import RunDirError, UsageError
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import PlanRecord, VideoRecord
from phyt2v_cli.schedule import plan_further
from phyt2v_cli.video_id import RoundId


def extend(run: RunDir, num_rounds: int) -> int:
    """Plan `num_rounds` further rounds of a complete run, and return the number of the last one.

    They begin with a mismatch of what has been the last video, and end on a final. If that many rounds have
    been added before and are not complete, nothing changes. Raises RunDirError if the run is not complete,
    and UsageError if it would have too many rounds.
    """
    record = run.record
    if record.status != "complete":
        if record.extended_after and len(record.plan) == record.extended_after + num_rounds:
            return len(record.plan)
        raise RunDirError(
            f"{run.path} is not complete: its status is {record.status}", "Complete it first, with `resume`."
        )
    rounds = chosen_rounds(read_videos(run.path)[0])
    last = rounds[-1]
    assert isinstance(last.id, RoundId)
    done = [*record.planned_rounds[: last.id.number - 1]]
    further = plan_further(run.config, steps=[one.steps for one in rounds], num_rounds=num_rounds)
    final = record.plan[-1 if record.stop_reason is not None else last.id.number - 1]
    record.plan = [
        *(PlanRecord.of(planned) for planned in done),
        final.model_copy(update={"round": last.id.number, "steps": last.steps, "purpose": last.purpose}),
        *(PlanRecord.of(planned) for planned in further),
    ]
    record.extended_after = last.id.number
    record.note_replan(f"extended by {count(num_rounds, 'round')} after {last.id.label.lower()}")
    record.stop_reason, record.status = None, "interrupted"
    run.save()
    return len(record.plan)


def extend_to(run: RunDir, num_refinements: int) -> int:
    """Plan further rounds of a complete run, up to so many refinements in all; see `extend`.

    If they are there or planned, nothing changes. Raises UsageError if there are more already.
    """
    number = _number_of_rounds(run)
    is_planned = run.record.extended_after > 0 and len(run.record.plan) == num_refinements + 1
    if is_planned or num_refinements + 1 == number:
        return num_refinements + 1
    if num_refinements + 1 < number:
        raise UsageError(
            f"{run.path} has {count(number - 1, 'refinement')} already", "Rounds can only be added."
        )
    return extend(run, num_refinements + 1 - number)


def _number_of_rounds(run: RunDir) -> int:
    return len(chosen_rounds(read_videos(run.path)[0]))


def set_next_prompt(run: RunDir, prompt: str) -> VideoRecord:
    """Set the prompt of the next round, in place of the rewritten one, and return the video before it.

    Raises UsageError if no rewritten prompt waits: before the first rewrite, once the next round has begun,
    and in a complete run.
    """
    chosen = chosen_rounds(read_videos(run.path)[0])
    waiting = chosen[-1] if chosen else None
    if run.record.status == "complete" or waiting is None or waiting.refined_prompt is None:
        raise UsageError(
            f"No rewritten prompt waits in {run.path}: "
            + ("it is complete." if run.record.status == "complete" else "its next video has begun."),
            "Stop a run after its next rewrite with `stop_after`, or add rounds with `extend`.",
        )
    waiting.decide(prompt)
    run.save_video(waiting)
    return waiting
