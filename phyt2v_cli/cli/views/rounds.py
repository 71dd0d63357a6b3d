"""View of a run's rounds after their end, as a table and as JSON. Reads the records; prints nothing."""

from typing import TYPE_CHECKING

from rich.table import Table

from phyt2v_cli.cli import console
from phyt2v_cli.cli.views.fitting import FittingTable
from phyt2v_cli.cli.views.plan import WIDE
from phyt2v_cli.quantities import duration, score
from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId

if TYPE_CHECKING:
    from phyt2v_cli.runs.directory import RunDir
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
    control = find_control(run)
    for record in [*_rounds(run), *([control] if control is not None else [])]:
        scores = record.scores
        chosen = run.record.result is not None and run.record.result.video == record.video
        table.add_row(
            record.video,
            str(record.steps),
            duration(sum(record.seconds.values())),
            score(scores.semantic_adherence if scores else None),
            score(scores.physical_commonsense if scores else None),
            f"{record.purpose}, the result" if chosen else record.purpose,
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


def rounds_as_json(run: "RunDir") -> list[dict[str, object]]:
    """Rounds of a run as JSON."""
    return [round_as_json(record) for record in _rounds(run)]


def find_control(run: "RunDir") -> "VideoRecord | None":
    """Record of the control, if the run wants one."""
    return run.read_video(CONTROL) if run.config.refinement.control else None


def _rounds(run: "RunDir") -> "list[VideoRecord]":
    records = (run.read_video(RoundId(planned.round)) for planned in run.record.plan)
    return [record for record in records if record is not None]


def round_as_json(record: "VideoRecord") -> dict[str, object]:
    """One round, or the control, as JSON."""
    kept = {
        "video",
        "steps",
        "purpose",
        "prompt",
        "caption",
        "scores",
        "scorers",
        "mismatch",
        "flags",
        "seconds",
    }
    entry = record.model_dump(mode="json", include=kept)
    apart = disagreement(record.scores_by_scorer().values())
    return {"round": round_number(record.id), **entry} | {
        "disagreement": apart._asdict() if len(record.scorers) > 1 else None
    }


def round_number(id: VideoId) -> int | None:
    """Number of a round as JSON has it; null for a control."""
    return id.number if isinstance(id, RoundId) else None
