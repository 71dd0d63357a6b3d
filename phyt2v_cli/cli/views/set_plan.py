"""View of what a prompt set would do, and of its faults. Knows jobs; runs and prints nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli.views.set import error_as_json, job_as_json
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import Phyt2vError

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.sets.jobs import Job
    from phyt2v_cli.sets.prompt_set import Fault, PromptSet

MAX_LISTED = 20
"""Limit of the prompts that are listed one by one, unless all are asked for."""


def listed(jobs: "Sequence[Job]", statuses: Sequence[str], *, whole: bool) -> list[str]:
    """Line with the folder of each job and what would become of it; of a long set those are counted."""
    shown = len(jobs) if whole or len(jobs) <= MAX_LISTED + 1 else MAX_LISTED
    lines = [f"  {job.path.name}: {status}" for job, status in zip(jobs[:shown], statuses, strict=False)]
    if counts := Counter(statuses[shown:]):
        told = ", ".join(f"{number:,} {status}" for status, number in counts.items())
        lines.append(f"  and {len(jobs) - shown:,} more: {told}")
    return lines


def plan_as_json(
    batch_dir: Path,
    planned: "Sequence[PlannedRound]",
    jobs: "Sequence[Job]",
    statuses: Sequence[str],
    refused: Mapping[int, Phyt2vError],
    *,
    needed_bytes: int,
    expected_seconds: float | None,
) -> dict[str, object]:
    """What a set would do, as JSON; every job is in it."""
    return {
        "schema": "phyt2v.batch-dry-run/1",
        "batch_dir": str(batch_dir),
        "videos": [{"round": p.round, "steps": p.steps, "purpose": p.purpose} for p in planned],
        "runs": [
            job_as_json(job)
            | {"status": status.replace(" ", "_")}
            | (error_as_json(*worded(refused[job.number])) if job.number in refused else {})
            for job, status in zip(jobs, statuses, strict=True)
        ],
        "needed_bytes": needed_bytes,
        "expected_seconds": None if expected_seconds is None else round(expected_seconds, 1),
    }


def faults_as_text(prompt_set: "PromptSet", *, whole: bool) -> str:
    """Entries that cannot be used, a line for each; of many, the first ones and how many more there are."""
    told = prompt_set.tell_faults(None if whole else MAX_LISTED)
    return "\n".join([f"{prompt_set.name} has entries that cannot be used:", *told])


def faults_as_json(faults: "Sequence[Fault]") -> list[dict[str, object]]:
    """Entries that cannot be used, as JSON."""
    return [{"line": fault.line, "error": fault.message} for fault in faults]
