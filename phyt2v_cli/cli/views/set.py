"""View of a prompt set's outcomes as a table and as JSON. Knows outcomes and which runs are there; runs and
prints nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.views.fitting import FittingTable
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report.as_json.rounds import round_number
from phyt2v_cli.roles import Scores

if TYPE_CHECKING:
    from phyt2v_cli.sets.jobs import Job, Outcome

_MIN_PROMPT_WIDTH = 12
_MAX_ROWS = 40


def summary_table(jobs: "Sequence[Job]", outcomes: "Sequence[Outcome]", width: int) -> RenderableType:
    """Table with one row for each job; one without an outcome was interrupted, or not begun.

    Of a large set it has the first jobs that failed, and below it the counts.
    """
    by_number = {outcome.job.number: outcome for outcome in outcomes}
    if len(jobs) <= _MAX_ROWS:
        return _table(jobs, by_number, width)
    statuses = Counter(_status(job, by_number.get(job.number)) for job in jobs)
    failed = [job for job in jobs if _status(job, by_number.get(job.number)) == "failed"]
    counts = ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in statuses.items())
    left_out = f"; {len(failed) - _MAX_ROWS:,} failed ones are not shown" * (len(failed) > _MAX_ROWS)
    text = Text(f"{count(len(jobs), 'prompt')}: {counts}{left_out}")
    return Group(_table(failed[:_MAX_ROWS], by_number, width), text) if failed else text


def _table(jobs: "Sequence[Job]", by_number: "Mapping[int, Outcome]", width: int) -> Table:
    table = FittingTable(dropped_first=("PC", "SA", "prompt"))
    table.add_column("#", justify="right", style="dim")
    table.add_column("prompt", min_width=_MIN_PROMPT_WIDTH, no_wrap=True, overflow="ellipsis")
    for name in ("SA", "PC"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for job in jobs:
        outcome = by_number.get(job.number)
        result = outcome.result if outcome else None
        scores = result.scores if result else Scores(None, None)
        status = _status(job, outcome)
        table.add_row(
            str(job.number),
            console.safe(" ".join(job.entry.prompt.split())),
            score(scores.semantic_adherence),
            score(scores.physical_commonsense),
            Text(
                status.replace("_", " "), style={"complete": "green", "failed": "bold red"}.get(status, "dim")
            ),
        )
    return table.fit(width)


def summary_as_json(
    batch_dir: Path, jobs: "Sequence[Job]", outcomes: "Sequence[Outcome]"
) -> dict[str, object]:
    """Whole set as JSON, with the result or the error of each run."""
    by_number = {outcome.job.number: outcome for outcome in outcomes}
    runs = [job_as_json(job) | _outcome_as_json(job, by_number.get(job.number)) for job in jobs]
    return {
        "schema": "phyt2v.batch/1",
        "batch_dir": str(batch_dir),
        "status": "complete" if all(run["status"] == "complete" for run in runs) else "failed",
        "runs": runs,
    }


def job_as_json(job: "Job") -> dict[str, object]:
    """Job as JSON, without its outcome."""
    return {
        "id": job.entry.id,
        "line": job.entry.line,
        "prompt": job.entry.prompt,
        "seed": job.config.run.seed,
        "run_dir": str(job.path),
    }


def error_as_json(message: str, hint: str) -> dict[str, object]:
    """Message and hint of an error as JSON, null if there is none."""
    return {"error": message or None, "hint": hint or None}


def _outcome_as_json(job: "Job", outcome: "Outcome | None") -> dict[str, object]:
    result = outcome.result if outcome else None
    scores = result.scores if result else None
    return {
        "status": _status(job, outcome),
        **error_as_json(outcome.error if outcome else "", in_flags(outcome.hint) if outcome else ""),
        "result": result
        and {
            "video": str(result.video),
            "round": round_number(result.id),
            "prompt": result.prompt,
            "selected_by": result.selected_by,
            "stop_reason": result.stop_reason,
            "scores": scores
            and {
                "semantic_adherence": scores.semantic_adherence,
                "physical_commonsense": scores.physical_commonsense,
            },
        },
    }


def _status(job: "Job", outcome: "Outcome | None") -> str:
    if outcome is None:
        return "interrupted" if (job.path / "run.json").exists() else "not_begun"
    return "failed" if outcome.result is None else "complete"
