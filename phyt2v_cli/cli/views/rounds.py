"""View of a run's rounds after their end, as a table. Reads the records; prints nothing."""

from typing import TYPE_CHECKING

from rich.table import Table

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.run import scores_text
from phyt2v_cli.cli.views.fitting import FittingTable
from phyt2v_cli.cli.views.plan import WIDE
from phyt2v_cli.quantities import duration, score
from phyt2v_cli.report.as_json.rounds import find_controls, find_rerenders, find_rounds
from phyt2v_cli.report.scores import disagreement
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.outcome.candidates import is_stilled
from phyt2v_cli.runs.reader import read_videos

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
    videos, _ = read_videos(run.path)
    for record in [*find_rounds(run), *find_rerenders(videos), *find_controls(videos)]:
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


def arms_line(arms: "Sequence[Arm]", result: Scores) -> str:
    """Scores of the result beside those of its controls, in a line; empty without controls."""
    if not arms:
        return ""
    parts = [f"result {scores_text(result)}"]
    parts += [f"{arm.label} {scores_text(arm.video.all_scores())}" for arm in arms]
    return f"At full steps: {'; '.join(parts)}."
