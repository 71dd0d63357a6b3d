"""Plan of an export: which file of which run gets which name, what the indexes say, and what is left out.

Reads run directories, which may be anybody's; writes nothing.
"""

import csv
import io
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phyt2v_cli.errors import FilesError
from phyt2v_cli.runs.outcome.arms import arms_of_run
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.sets.export.names import Target, names_of
from phyt2v_cli.sets.manifest import has_manifest, read_manifests
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary.table import carried_columns
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId

Which = Literal["result", "first", "control", "blind", "best-of-n"]
WHICH: tuple[Which, ...] = get_args(Which)

INDEX = "index.csv"
_COLUMNS = (
    *("file", "prompt", "id", "row", "seed", "folder", "round", "purpose", "steps", "sa", "pc"),
    "video_prompt",
)


@dataclass(frozen=True)
class ExportedFile:
    """Video of a run, and its name."""

    name: str
    """Path below the folder of the export."""
    folder: str
    """Folder of the run."""
    video: str
    sha256: str


@dataclass
class Plan:
    """Plan of an export. Texts of the indexes are exact: scorers compare them."""

    target: Target
    which: Which
    batch_dir: Path
    num_prompts: int = 0
    files: list[ExportedFile] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    """Rows of the index, one for each file."""
    reference_rows: list[dict[str, object]] = field(default_factory=list)
    left_out: list[tuple[PromptEntry, str]] = field(default_factory=list)
    """Prompts that are not exported, and why."""
    notes: list[tuple[PromptEntry, str]] = field(default_factory=list)
    carried: Mapping[str, str] = field(default_factory=dict)

    def indexes(self, out: Path) -> dict[str, str]:
        """Texts of the index files by name; `out` is the folder of the export."""
        indexes = {INDEX: _as_csv([*_COLUMNS, *self.carried.values()], self.rows)}
        if self.target == "videophy2":
            # Its scorer opens the paths as they are, wherever it is started.
            rows = [
                {"caption": row["prompt"], "videopath": out.absolute() / str(row["file"])}
                for row in self.rows
            ]
            indexes["videophy2.csv"] = _as_csv(["caption", "videopath"], rows)
        if self.target == "phyt2v-reference":
            columns = max((list(row) for row in self.reference_rows), key=len, default=[])
            numbered = [{"index": number} | row for number, row in enumerate(self.reference_rows)]
            indexes["data_df.csv"] = _as_csv(["index", *columns], numbered)
        return indexes


def plan_export(path: Path, target: Target, which: Which) -> Plan:
    """Plan the export of a set's folder, or of a single run directory.

    Raises FilesError if it is neither, and UsageError if the set lacks what the target needs.
    """
    batch_dir = path
    entries: tuple[PromptEntry, ...]
    if (path / "run.json").exists() and not has_manifest(path):
        single = read_run(path).record
        batch_dir = path.absolute().parent
        entries = (PromptEntry(None, single.prompt, single.seed, 1, path.absolute().name),)
    else:
        entries = read_manifests(path)
    plan = Plan(target, which, batch_dir, len(entries), carried=carried_columns(entries, _COLUMNS))
    for entry, naming in zip(entries, names_of(target, entries), strict=True):
        try:
            if naming.fault:
                raise ValueError(naming.fault)
            run = _complete_run(batch_dir / entry.folder)
            wanted = _rounds(run) if target == "phyt2v-reference" else [_chosen(run, which)]
            for record in wanted:
                _check_video(run.path / record.video)
        except ValueError as reason:
            plan.left_out.append((entry, str(reason)))
            continue
        if naming.note:
            plan.notes.append((entry, naming.note))
        for video in wanted:
            for name in naming.names:
                full = f"{name}{video.video}" if name.endswith("/") else name
                plan.files.append(ExportedFile(full, entry.folder, video.video, video.sha256 or ""))
                plan.rows.append(_row(full, entry, video, plan.carried))
        if target == "phyt2v-reference":
            plan.reference_rows.append(reference_row(run, wanted))
    return plan


def _complete_run(path: Path) -> ShownRun:
    if not (path / "run.json").exists():
        raise ValueError("it has not begun")
    try:
        run = read_run(path)
    except FilesError as error:
        raise ValueError(error.message) from error
    if run.record.status != "complete":
        raise ValueError(f"its status is {run.record.status}")
    return run


def _chosen(run: ShownRun, which: Which) -> VideoRecord:
    result = run.record.result
    ids: dict[str, VideoId | None] = {arm.name: arm.video.id for arm in arms_of_run(run)}
    ids |= {"first": RoundId(1), "control": CONTROL, "result": result.id if result is not None else None}
    found = [record for record in run.videos if record.id == ids.get(which) and record.sha256 is not None]
    if not found:
        raise ValueError(f"it has no video that is the {which}")
    return found[0]


def _rounds(run: ShownRun) -> list[VideoRecord]:
    rounds = chosen_rounds(run.videos)
    if not rounds or any(record.sha256 is None for record in rounds):
        raise ValueError("not all of its rounds have a video")
    return rounds


def _check_video(path: Path) -> None:
    try:
        mode, size = path.lstat().st_mode, path.lstat().st_size
    except OSError as error:
        raise ValueError(f"{path.name} is missing") from error
    if not stat.S_ISREG(mode) or not size:
        raise ValueError(f"{path.name} is no video")


def _row(name: str, entry: PromptEntry, video: VideoRecord, carried: Mapping[str, str]) -> dict[str, object]:
    scores = video.all_scores()
    return {
        "file": name,
        "prompt": entry.prompt,
        "id": entry.id,
        "row": entry.row,
        "seed": video.seed,
        "folder": entry.folder,
        "round": video.id.name.removeprefix("round"),
        "purpose": video.purpose,
        "steps": video.steps,
        "sa": scores.semantic_adherence,
        "pc": scores.physical_commonsense,
        "video_prompt": video.prompt,
        **{shown: entry.columns.get(column, "") for column, shown in carried.items()},
    }


def reference_row(run: ShownRun, rounds: Sequence[VideoRecord]) -> dict[str, object]:
    """Columns of the reference implementation's data_df.csv, in its order.

    It neither captions nor scores the last video; here it is.
    """
    analysis = run.record.analysis
    row: dict[str, object] = {
        "prompt_1": rounds[0].prompt,
        "main_object": analysis.main_object if analysis is not None else "",
        "physical_law": analysis.physical_law if analysis is not None else "",
    }
    for number, video in enumerate(rounds, start=1):
        scores = video.all_scores()
        row[f"prompt_{number}"] = video.prompt
        row[f"caption_{number}"] = video.caption
        row[f"mismatch_{number}"] = video.mismatch.text if video.mismatch is not None else ""
        row[f"sa_{number}"] = scores.semantic_adherence
        row[f"pc_{number}"] = scores.physical_commonsense
    return row


def _as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
