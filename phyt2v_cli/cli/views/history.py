"""View of a list of runs and sets by time, as lines for terminals, for pipes, and as JSON. Prints nothing.

What is listed may be anybody's: it is only shown, never acted on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import FilesError
from phyt2v_cli.quantities import count, score
from phyt2v_cli.runs.history.distinctions import Settings, distinctions, in_short
from phyt2v_cli.runs.history.listing import last_start
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.sets.history import ShownSet, model_name

if TYPE_CHECKING:
    from phyt2v_cli.roles import Scores

Read = ShownRun | ShownSet | FilesError
"""What a folder holds, or why it cannot be read."""

STYLES = {"complete": "green", "failed": "bold red", "unreadable": "bold red"}
_MAX_PROMPT_CHARS = 1000
"""Limit of a prompt in a list, in characters."""
_MAX_MODEL_CHARS = 20
_GAP = "  "
_HEADERS = ("started (UTC)", "status", "rounds", "steps", "SA", "PC", "seed", "model")
_RIGHT = {"steps", "SA", "PC", "seed"}
_DROPPED_FIRST = ("model", "seed", "steps", "rounds", "PC", "SA", "started (UTC)")
"""Columns that go if there is no room for all, the first one first."""


@dataclass(frozen=True)
class Row:
    """Row of the list: one run, or one set. Texts are as they are recorded."""

    kind: Literal["run", "set"]
    status: str
    rounds: str
    path: str
    """Path of the result, or else of the run or the set."""
    prompt: str
    started: str = ""
    steps: str = ""
    seed: str = ""
    model: str = ""
    sa: str = "-"
    pc: str = "-"
    differences: str = ""
    """What tells it from other runs of its prompt."""

    def in_pipe(self) -> str:
        """Line for pipes, with tabs. Columns are only ever added at its end."""
        cells = (self.status, self.rounds, self.path, self.prompt, self.started, self.steps, self.seed)
        more = (self.model, self.sa, self.pc, self.differences, self.kind)
        return "\t".join(" ".join(cell.split()) for cell in (*cells, *more))


def read_run_in_list(path: Path) -> ShownRun | FilesError:
    """Read a run that is listed beside others; returns the error if it cannot be read."""
    try:
        return read_run(path)
    except FilesError as error:
        return error


def start_of(found: Read) -> str:
    """Start of the latest attempt, as `Timestamp`; "" if no time is known."""
    if isinstance(found, ShownSet):
        return found.last_start
    return last_start(found) if isinstance(found, ShownRun) else ""


def rows_of(listed: Sequence[tuple[Path, Read]]) -> list[Row]:
    """Rows of a list, in its order."""
    apart = distinctions(run for _, run in listed if isinstance(run, ShownRun))
    return [_row(path, found, apart.get(path, {})) for path, found in listed]


def _row(path: Path, found: Read, settings: Settings) -> Row:
    if isinstance(found, FilesError):
        return Row("run", "unreadable", "-", str(path), found.message)
    if isinstance(found, ShownSet):
        done, prompts = found.statuses.get("complete", 0), count(len(found.entries), "prompt")
        first = found.entries[0].prompt[:_MAX_PROMPT_CHARS] if found.entries else ""
        return Row(
            *("set", found.status, f"{done} of {len(found.entries)}", str(path), f"{prompts}: {first}"),
            started=found.last_start,
            model=found.model,
        )
    record = found.record
    first_steps, last_steps = record.plan[0].steps, record.plan[-1].steps
    scores = scores_of_result(found)
    return Row(
        "run",
        record.status,
        f"{found.rounds_done()} of {len(record.plan)}",
        str(found.result_video() or path),
        record.prompt[:_MAX_PROMPT_CHARS],
        started=start_of(found),
        steps=str(last_steps) if first_steps == last_steps else f"{first_steps}-{last_steps}",
        seed=str(record.seed),
        model=model_name(record.config),
        sa=score(scores.semantic_adherence if scores else None),
        pc=score(scores.physical_commonsense if scores else None),
        differences=in_short(settings),
    )


def scores_of_result(run: ShownRun) -> "Scores | None":
    """Scores of the video that a run returns; None while there is none."""
    result = run.record.result
    return next((v.all_scores() for v in run.videos if result is not None and v.id == result.id), None)


def lines(rows: Sequence[Row], width: int) -> Iterator[RenderableType]:
    """Lines for a terminal: a header, then of each row its facts, its path, and its prompt.

    A path stays whole, so that it can be copied. What of the facts has no room is left out.
    """
    cells = [dict(zip(_HEADERS, _facts(row), strict=True)) for row in rows]
    widths = {name: max(cell_len(name), *(cell_len(row[name]) for row in cells)) for name in _HEADERS}
    for name in _DROPPED_FIRST:
        if sum(widths.values()) + len(_GAP) * (len(widths) - 1) <= width:
            break
        del widths[name]
    yield Text(_GAP.join(_pad(name, name, widths) for name in widths).rstrip(), "bold")
    for row, facts in zip(rows, cells, strict=True):
        line = Text()
        for number, name in enumerate(widths):
            style = STYLES.get(row.status, "yellow") if name == "status" else ""
            line.append_text(console.safe(_GAP * (number > 0) + _pad(facts[name], name, widths), style))
        line.rstrip()
        line.no_wrap = True
        yield line
        yield f"  {row.path}"
        for text, style in ((row.differences, "cyan"), (row.prompt, "dim")):
            if text:
                yield Padding(console.one_line(text, style), (0, 0, 0, 2), expand=False)


def _facts(row: Row) -> tuple[str, ...]:
    started = row.started[:16].replace("T", " ")
    model = row.model.rstrip("/").rpartition("/")[2]
    model = model if len(model) <= _MAX_MODEL_CHARS else f"{model[: _MAX_MODEL_CHARS - 1]}…"
    return started or "-", row.status, row.rounds, row.steps, row.sa, row.pc, row.seed, model


def _pad(text: str, name: str, widths: dict[str, int]) -> str:
    space = " " * (widths[name] - cell_len(text))
    return space + text if name in _RIGHT else text + space


def list_as_json(folder: str, listed: Sequence[tuple[Path, Read]]) -> dict[str, object]:
    """List as JSON: its runs and its sets, each in their order."""
    runs = [(path, run) for path, run in listed if not isinstance(run, ShownSet)]
    apart = distinctions(run for _, run in runs if isinstance(run, ShownRun))
    return {
        "schema": "phyt2v.runs/1",
        "folder": folder,
        "runs": [run_in_list_as_json(path, run, apart.get(path, {})) for path, run in runs],
        "sets": [_set_as_json(path, found) for path, found in listed if isinstance(found, ShownSet)],
    }


def run_in_list_as_json(path: Path, run: ShownRun | FilesError, settings: Settings) -> dict[str, object]:
    """Run of a list as JSON; `settings` are those that tell it from other runs of its prompt."""
    named: dict[str, object] = {"name": path.name, "run_dir": str(path)}
    if isinstance(run, FilesError):
        return named | {"status": "unreadable", "error": run.message, "hint": in_flags(run.hint) or None}
    video, scores, record = run.result_video(), scores_of_result(run), run.record
    return named | {
        "status": record.status,
        "rounds_done": run.rounds_done(),
        "rounds_planned": len(record.plan),
        "prompt": record.prompt,
        "seed": record.seed,
        "started": record.attempts[0].started if record.attempts else None,
        "finished": record.attempts[-1].finished if record.attempts else None,
        "result": str(video) if video is not None else None,
        "broken": list(run.broken),
        "steps": [entry.steps for entry in record.plan],
        "model": model_name(record.config) or None,
        "scores": scores
        and {
            "semantic_adherence": scores.semantic_adherence,
            "physical_commonsense": scores.physical_commonsense,
        },
        "differences": dict(settings),
    }


def _set_as_json(path: Path, found: ShownSet) -> dict[str, object]:
    return {
        "name": path.name,
        "set_dir": str(path),
        "status": found.status,
        "num_prompts": len(found.entries),
        "statuses": dict(found.statuses),
        "started": found.last_start or None,
        "model": found.model or None,
    }
