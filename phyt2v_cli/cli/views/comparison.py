"""View of several runs beside each other, as a table and as JSON. Their content is only shown."""

from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.quantities import score
from phyt2v_cli.report.as_json.rounds import round_as_json
from phyt2v_cli.runs.history.distinctions import short_key, short_value

if TYPE_CHECKING:
    from phyt2v_cli.report.comparison.page import Written
    from phyt2v_cli.report.comparison.runs import ComparedRun, Comparison

_MIN_VALUE_WIDTH = 6


def comparison_text(comparison: "Comparison", width: int) -> RenderableType:
    """Text of a comparison: the runs by their letters, a table of what differs, and the prompts."""
    runs = comparison.runs
    parts: list[RenderableType] = [
        Text.assemble((f"{one.letter}  ", "bold"), console.safe(str(one.run.path))) for one in runs
    ]
    rows: list[tuple[str, list[str]]] = [
        ("status", [one.run.record.status for one in runs]),
        ("result", [one.result.id.label.lower() if one.result else "-" for one in runs]),
        ("steps", [str(one.result.steps) if one.result else "-" for one in runs]),
        ("SA", [_score(one, "semantic_adherence") for one in runs]),
        ("PC", [_score(one, "physical_commonsense") for one in runs]),
    ]
    rows += [
        (short_key(key), [short_value(one.settings[key]) if key in one.settings else "-" for one in runs])
        for key in comparison.keys
    ]
    parts += [Text(), _table(rows, [one.letter for one in runs], width), Text()]
    if comparison.has_one_prompt:
        parts.append(_labelled("prompt", runs[0].run.record.prompt))
    for one in runs:
        if not comparison.has_one_prompt:
            parts.append(_labelled(f"{one.letter}, prompt", one.run.record.prompt))
        if one.result is not None and one.result.prompt != one.run.record.prompt:
            parts.append(_labelled(f"{one.letter}, prompt of the result", one.result.prompt))
    parts += [Text(note, "yellow") for note in comparison.notes]
    return Group(*parts)


def _table(rows: list[tuple[str, list[str]]], letters: list[str], width: int) -> Table:
    named = max(cell_len(name) for name, _ in rows)
    room = max(_MIN_VALUE_WIDTH, (width - named) // len(letters) - 2)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0)
    )
    table.add_column("", no_wrap=True)
    for letter in letters:
        table.add_column(letter, no_wrap=True, overflow="ellipsis", max_width=room)
    for name, values in rows:
        table.add_row(name, *(console.safe(value) for value in values))
    return table


def _labelled(label: str, text: str) -> Padding:
    shown = Text.assemble((f"{label}: ", "dim"), console.safe(" ".join(text.split())))
    return Padding(shown, 0, expand=False)


def _score(one: "ComparedRun", name: str) -> str:
    return "-" if one.result is None else score(getattr(one.result.all_scores(), name))


def comparison_as_json(comparison: "Comparison", written: "Written | None") -> dict[str, object]:
    """Comparison as JSON, with the paths of what was written."""
    return {
        "schema": "phyt2v.compare/1",
        "runs": [
            {
                "name": one.run.path.name,
                "run_dir": str(one.run.path),
                "status": one.run.record.status,
                "prompt": one.run.record.prompt,
                "seed": one.run.record.seed,
                "differences": dict(one.settings),
                "video": str(one.run.path / one.result.video) if one.result is not None else None,
                "result": round_as_json(one.result) if one.result is not None else None,
            }
            for one in comparison.runs
        ],
        "notes": list(comparison.notes),
        "page": None if written is None else str(written.page),
        "clip": None if written is None or written.clip is None else str(written.clip),
    }
