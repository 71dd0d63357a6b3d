"""Videos of a run as JSON, and the records that they are made from."""

from collections.abc import Sequence

from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.arms import Arm
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import ControlId, RerenderId, RoundId, VideoId


def rounds_as_json(run: RunDir) -> list[dict[str, object]]:
    """Rounds of a run as JSON; of several candidates the chosen one."""
    return [round_as_json(record) for record in chosen_rounds(find_rounds(run))]


def candidates_as_json(videos: Sequence[VideoRecord]) -> list[dict[str, object]]:
    """Videos of the rounds that were not chosen, as JSON."""
    chosen = chosen_rounds(videos)
    rounds = [video for video in videos if isinstance(video.id, RoundId)]
    return [round_as_json(video) for video in rounds if video not in chosen]


def find_rerenders(videos: Sequence[VideoRecord]) -> list[VideoRecord]:
    """Records of the rounds that were rendered again."""
    return [video for video in videos if isinstance(video.id, RerenderId)]


def rerenders_as_json(videos: Sequence[VideoRecord]) -> list[dict[str, object]]:
    """Rounds that were rendered again, as JSON."""
    return [round_as_json(video) for video in find_rerenders(videos)]


def find_controls(videos: Sequence[VideoRecord]) -> list[VideoRecord]:
    """Records of the controls that were rendered, wanted now or earlier."""
    return [video for video in videos if isinstance(video.id, ControlId) and video.sha256 is not None]


def arms_as_json(arms: Sequence[Arm]) -> dict[str, object]:
    """Arms that the result is compared with, as JSON."""
    return {arm.name: {"num_videos": arm.num_videos, **round_as_json(arm.video)} for arm in arms}


def find_rounds(run: RunDir) -> list[VideoRecord]:
    """Records of the rounds, candidates included, as far as they are there."""
    records = (run.read_video(id) for planned in run.record.planned_rounds for id in planned.ids)
    return [record for record in records if record is not None]


def round_as_json(record: VideoRecord) -> dict[str, object]:
    """One video, of a round or a control, as JSON."""
    kept = {
        "video",
        "steps",
        "purpose",
        "prompt",
        "caption",
        "scores",
        "scorers",
        "motion",
        "mismatch",
        "review",
        "flags",
        "seconds",
        "started",
        "finished",
    }
    entry = record.model_dump(mode="json", include=kept)
    apart = disagreement(record.scores_by_scorer().values())
    candidate = {"candidate": record.id.candidate} if record.id.candidate else {}
    return {"round": round_number(record.id), **candidate, **entry} | {
        "disagreement": apart._asdict() if len(record.scorers) > 1 else None
    }


def round_number(id: VideoId) -> int | None:
    """Number of a round as JSON has it; null for a control."""
    return id.number if isinstance(id, RoundId | RerenderId) else None
