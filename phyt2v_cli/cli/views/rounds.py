"""View of a run's rounds after their end, as a table and as JSON. Reads the records; prints nothing."""

from typing import TYPE_CHECKING

from rich.table import Table

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.run import scores_text
from phyt2v_cli.cli.views.fitting import FittingTable
from phyt2v_cli.cli.views.plan import WIDE
from phyt2v_cli.quantities import duration, score
from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.outcome.candidates import chosen_rounds, is_stilled
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.schedule import controls_of
from phyt2v_cli.video_id import RerenderId, RoundId, VideoId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.outcome.arms import Arm
    from phyt2v_cli.runs.records import VideoRecord

_NAME_WIDTH = 12
"""Width of the names of scorers that do not decide, so that the table fits 60 columns."""


def rounds_table(run: "RunDir", width: int) -> Table:
    """Table with one row for each video. Scores are labelled draft or final: they are not comparable.

    Below a video is one row for each scorer that does not decide, with its disagreement.
    """
    table = FittingTable(dropped_first=("time", "steps", "SA", "PC"))
    table.add_column("video")
    for name in ("steps", "time", "SA", "PC"):
        table.add_column(name, justify="right")
    table.add_column("scored as")
    for record in [*_rounds(run), *find_rerenders(read_videos(run.path)[0]), *find_controls(run)]:
        scores = record.scores
        chosen = run.record.result is not None and run.record.result.video == record.video
        table.add_row(
            record.video,
            str(record.steps),
            duration(sum(record.seconds.values())),
            score(scores.semantic_adherence if scores else None),
            score(scores.physical_commonsense if scores else None),
            _scored_as(record, is_result=chosen),
            style="bold green" if chosen else "",
        )
        by_scorer = record.scores_by_scorer()
        deciding, *others = by_scorer or [""]
        for name in others:
            largest = disagreement([by_scorer[deciding], by_scorer[name]]).largest()
            table.add_row(
                console.safe(f"  {name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + '…'}"),
                "",
                "",
                score(by_scorer[name].semantic_adherence),
                score(by_scorer[name].physical_commonsense),
                f"{largest[1]:.2f} apart in {largest[0]}" if largest else "",
                style="dim",
            )
    return table.fit(width, gap=2 if width >= WIDE else 0)


def _scored_as(record: "VideoRecord", *, is_result: bool) -> str:
    role = "the result" if is_result else "chosen" if record.is_chosen else ""
    return ", ".join(filter(None, [record.purpose, role, "stilled" if is_stilled(record) else ""]))


def rounds_as_json(run: "RunDir") -> list[dict[str, object]]:
    """Rounds of a run as JSON; of several candidates the chosen one."""
    return [round_as_json(record) for record in chosen_rounds(_rounds(run))]


def candidates_as_json(videos: "Sequence[VideoRecord]") -> list[dict[str, object]]:
    """Videos of the rounds that were not chosen, as JSON."""
    chosen = chosen_rounds(videos)
    rounds = [video for video in videos if isinstance(video.id, RoundId)]
    return [round_as_json(video) for video in rounds if video not in chosen]


def find_rerenders(videos: "Sequence[VideoRecord]") -> "list[VideoRecord]":
    """Records of the rounds that were rendered again."""
    return [video for video in videos if isinstance(video.id, RerenderId)]


def rerenders_as_json(videos: "Sequence[VideoRecord]") -> list[dict[str, object]]:
    """Rounds that were rendered again, as JSON."""
    return [round_as_json(video) for video in find_rerenders(videos)]


def find_controls(run: "RunDir") -> "list[VideoRecord]":
    """Records of the controls that the run wants, as far as they are there."""
    ids = controls_of(
        run.config.refinement,
        total_steps=sum(record.steps for record in _rounds(run)),
        final_steps=run.record.plan[-1].steps,
    )
    return [record for id in ids if (record := run.read_video(id)) is not None]


def arms_as_json(arms: "Sequence[Arm]") -> dict[str, object]:
    """Arms that the result is compared with, as JSON."""
    return {arm.name: {"num_videos": arm.num_videos, **round_as_json(arm.video)} for arm in arms}


def arms_line(arms: "Sequence[Arm]", result: Scores) -> str:
    """Scores of the result beside those of its controls, in a line; empty without controls."""
    if not arms:
        return ""
    parts = [f"result {scores_text(result)}"]
    parts += [f"{arm.label} {scores_text(arm.video.all_scores())}" for arm in arms]
    return f"At full steps: {'; '.join(parts)}."


def _rounds(run: "RunDir") -> "list[VideoRecord]":
    records = (run.read_video(id) for planned in run.record.planned_rounds for id in planned.ids)
    return [record for record in records if record is not None]


def round_as_json(record: "VideoRecord") -> dict[str, object]:
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
