"""What a call has made of a run, as JSON: its result, a pause, or a video that was rendered again."""

from phyt2v_cli.errors import RunPausedError
from phyt2v_cli.report.as_json.rounds import (
    arms_as_json,
    candidates_as_json,
    find_controls,
    rerenders_as_json,
    round_as_json,
    round_number,
    rounds_as_json,
)
from phyt2v_cli.report.learned import learned
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.arms import arms_of
from phyt2v_cli.runs.outcome.result import RunResult
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import CONTROL


def result_as_json(run: RunDir, result: RunResult) -> dict[str, object]:
    """Result of a run as JSON, with its rounds and controls."""
    shown = read_run(run.path)
    controls = find_controls(shown.videos)
    control = next((video for video in controls if video.id == CONTROL), None)
    return {
        "schema": "phyt2v.result/1",
        "run_dir": str(run.path),
        "status": run.record.status,
        **_times_as_json(run),
        "video": str(result.video),
        "round": round_number(result.id),
        "prompt": result.prompt,
        "selected_by": result.selected_by,
        "stop_reason": result.stop_reason,
        "replanned": run.record.replanned,
        "rounds": rounds_as_json(run),
        "candidates": candidates_as_json(shown.videos),
        "rerenders": rerenders_as_json(shown.videos),
        "control": None if control is None else round_as_json(control),
        "controls": arms_as_json(arms_of(controls, run.config)),
        "learned": learned(shown),
    }


def pause_as_json(run: RunDir, pause: RunPausedError) -> dict[str, object]:
    """Run that waits for its next prompt, as JSON."""
    return {
        "schema": "phyt2v.result/1",
        "run_dir": str(run.path),
        "status": run.record.status,
        **_times_as_json(run),
        "video": None,
        "next_prompt": pause.next_prompt,
        "rounds": rounds_as_json(run),
    }


def rerender_as_json(run: RunDir, record: VideoRecord) -> dict[str, object]:
    """Video that was rendered again, as JSON."""
    return {
        "schema": "phyt2v.rerender/1",
        "run_dir": str(run.path),
        "status": run.record.status,
        **round_as_json(record),
        "video": str(run.video_path(record)),
    }


def _times_as_json(run: RunDir) -> dict[str, object]:
    """Start of a run's first attempt, and end of its latest."""
    attempts = run.record.attempts
    return {
        "started": attempts[0].started if attempts else None,
        "finished": attempts[-1].finished if attempts else None,
    }
