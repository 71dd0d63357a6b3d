"""Table of a set, `summary.csv`: a row for each prompt and video. Knows texts and records; writes no file.

Texts come from prompts and models, so controls are made visible, and what a spreadsheet would take for a
formula gets an apostrophe in front, as spreadsheets themselves mark a text. Numbers are left as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.runs.stored import MAX_TEXT_CHARS
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.video_id import RoundId

STAGES = ("denoise", "decode", "encode", "caption", "score", "mismatch", "refine")
COLUMNS = (
    "id",
    "row",
    "line",
    "prompt",
    "folder",
    "status",
    "round",
    "video",
    "is_result",
    "seed",
    "purpose",
    "steps",
    "sa",
    "pc",
    "judge",
    "motion",
    *(f"{stage}_s" for stage in STAGES),
    "total_s",
    "run_llm_tokens",
    "flags",
    "video_prompt",
    "refined_prompt",
    "error",
)
"""`round` is a number, or ``control``; `prompt` is the original one, `video_prompt` that of this video, and
`refined_prompt` that of the next. `run_llm_tokens` are those of the whole run, repeated in each row of it."""

_FORMULA = re.compile("[=+@\\t-]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_FLAGS = 20


def carried_columns(entries: Iterable[PromptEntry], own: Iterable[str] = COLUMNS) -> dict[str, str]:
    """Names in a table, with its `own` columns, of the set's columns, by their name there.

    ``set_`` tells equal names apart.
    """
    names: dict[str, str] = {}
    taken = set(own)
    for column in dict.fromkeys(name for entry in entries for name in entry.columns):
        shown = column
        while shown in taken:
            shown = f"set_{shown}"
        taken.add(shown)
        names[column] = shown
    return names


def header(carried: Mapping[str, str]) -> str:
    """Header of the table, with its line end."""
    return _as_csv([[*COLUMNS, *map(as_text, carried.values())]])


def rows(
    entry: PromptEntry, run: ShownRun | None, status: str, error: str, carried: Mapping[str, str]
) -> str:
    """Rows of one prompt, as CSV with line ends; one without a video if there is none."""
    own = {
        "id": as_text(entry.id or ""),
        "row": entry.row,
        "line": entry.line,
        "prompt": as_text(entry.prompt),
        "folder": as_text(entry.folder),
        "status": status,
        "seed": "" if entry.seed is None else entry.seed,
        "error": as_text(error),
    }
    last = [as_text(entry.columns.get(column, "")) for column in carried]
    videos = [_of_video(run, record) for record in run.videos] if run is not None else []
    trees = [own | video for video in videos] or [own]
    return _as_csv([tree.get(column, "") for column in COLUMNS] + last for tree in trees)


def as_text(text: str) -> str:
    """Text for a cell: without controls, and no formula."""
    text = visible(text[:MAX_TEXT_CHARS])
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _of_video(run: ShownRun, record: VideoRecord) -> dict[str, object]:
    result, usage, scores = run.record.result, run.record.usage, record.all_scores()
    return {
        "round": record.id.name.removeprefix("round"),
        "video": "" if record.sha256 is None else record.video,
        "is_result": int(result is not None and result.id == record.id),
        "seed": record.seed,
        "purpose": record.purpose,
        "steps": record.steps,
        "sa": _number(scores.semantic_adherence),
        "pc": _number(scores.physical_commonsense),
        "judge": as_text(next(iter(record.scorers), "")),
        "motion": "" if record.motion is None else f"{record.motion:.6g}",
        **{f"{stage}_s": _number(record.seconds.get(stage)) for stage in STAGES},
        "total_s": _number(sum(record.seconds.values())),
        "run_llm_tokens": usage.prompt_tokens + usage.completion_tokens,
        "flags": as_text(";".join(record.flags[:_MAX_FLAGS])),
        "video_prompt": as_text(record.prompt),
        "refined_prompt": as_text(record.refined_prompt or "") if isinstance(record.id, RoundId) else "",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 4):.12g}"


def _as_csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
