"""Rows of runs for tables: one for each video of a round and each control, or one for each run.

Texts come from prompts and models. In CSV, controls in them are made visible, and what a spreadsheet would
take for a formula gets an apostrophe in front (`summary/table.py`); JSON has all as they are. Writes nothing.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from phyt2v_cli.config.schema import Config
from phyt2v_cli.runs.history.distinctions import in_short, settings_of
from phyt2v_cli.runs.identity import distinguishing_settings
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.sets.export.plan import reference_row
from phyt2v_cli.sets.history import model_name
from phyt2v_cli.sets.summary.table import STAGES, as_text

SCHEMA = "phyt2v.round/1"
"""Schema of a line of JSON."""
Format = Literal["csv", "jsonl", "reference"]
Row = Mapping[str, object]

COLUMNS = (
    *("run", "run_dir", "status", "prompt", "model", "settings", "round", "video", "is_result", "is_chosen"),
    *("purpose", "steps", "seed", "sa", "pc", "judge", "motion", "caption", "mismatch_found", "mismatch"),
    *("video_prompt", "refined_prompt", "flags", *(f"{stage}_s" for stage in STAGES), "total_s"),
    *("started", "finished"),
)
"""`round` is a number, with a letter for a further candidate, or the name of a control. `settings` are those
that are not defaults. `sa` and `pc` are empty if the scorer abstained."""


def lines_of(runs: Sequence[ShownRun], format: Format) -> Iterator[str]:
    """Lines of a table of runs, each with its line end; a text inside of one may have some too."""
    if format == "jsonl":
        for run in runs:
            for row in rows_of(run):
                # In ASCII without DEL, so that nothing is left of it that a terminal would act on.
                yield json.dumps({"schema": SCHEMA, **row}).replace("\x7f", "\\u007f") + "\n"
    elif format == "csv":
        yield _as_csv(COLUMNS)
        for run in runs:
            for row in rows_of(run):
                yield _as_csv([_cell(row[column]) for column in COLUMNS])
    else:
        yield from _reference_lines(runs)


def rows_of(run: ShownRun) -> Iterator[Row]:
    """Rows of a run in the order of its videos, with the keys of `COLUMNS`. Values are as recorded."""
    settings = _settings(run)
    result = run.record.result
    chosen = {record.id for record in chosen_rounds(run.videos)}
    for record in run.videos:
        scores = record.all_scores()
        yield {
            "run": run.path.name,
            "run_dir": str(run.path),
            "status": run.record.status,
            "prompt": run.record.prompt,
            "model": model_name(run.record.config) or None,
            "settings": settings,
            "round": record.id.name.removeprefix("round"),
            "video": None if record.sha256 is None else record.video,
            "is_result": result is not None and result.id == record.id,
            "is_chosen": record.id in chosen,
            "purpose": record.purpose,
            "steps": record.steps,
            "seed": record.seed,
            "sa": scores.semantic_adherence,
            "pc": scores.physical_commonsense,
            "judge": next(iter(record.scorers), None),
            "motion": record.motion,
            "caption": record.caption,
            "mismatch_found": None if record.mismatch is None else record.mismatch.found,
            "mismatch": _mismatch(record),
            "video_prompt": record.prompt,
            "refined_prompt": record.refined_prompt,
            "flags": record.flags,
            **{f"{stage}_s": record.seconds.get(stage) for stage in STAGES},
            "total_s": round(sum(record.seconds.values()), 3),
            "started": record.started,
            "finished": record.finished,
        }


def _settings(run: ShownRun) -> dict[str, object]:
    """Settings of a run that are not defaults, by key; none if its config is not understood."""
    defaults = distinguishing_settings(Config())
    return {key: value for key, value in settings_of(run.record).items() if value != defaults.get(key)}


def _mismatch(record: VideoRecord) -> str | None:
    return record.mismatch.text if record.mismatch is not None and record.mismatch.found else None


def _reference_lines(runs: Sequence[ShownRun]) -> Iterator[str]:
    """Lines with the columns of the reference implementation's data_df.csv, one for each run with a round.

    The last video has a caption and scores too, and no prompt comes after it.
    """
    rows = []
    for run in runs:
        if rounds := [record for record in chosen_rounds(run.videos) if record.sha256 is not None]:
            rows.append(reference_row(run, rounds) | {f"prompt_{len(rounds) + 1}": rounds[-1].refined_prompt})
    longest = max(rows, key=len, default={"prompt_1": "", "main_object": "", "physical_law": ""})
    yield _as_csv(["index", *longest])
    for number, row in enumerate(rows):
        yield _as_csv([number, *(_cell(row.get(column)) for column in longest)])


def _cell(value: object) -> object:
    """Value for a cell of CSV."""
    match value:
        case None:
            return ""
        case bool():
            return int(value)
        case float():
            return f"{round(value, 6):.12g}"
        case dict():
            return as_text(in_short(value))
        case list():
            return as_text(";".join(map(str, value)))
        case str():
            return as_text(value)
    return value


def _as_csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
