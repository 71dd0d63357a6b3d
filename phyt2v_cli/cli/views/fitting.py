"""Tables that give up their least useful columns if there is no room for all. Knows text; prints nothing."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text


class FittingTable:
    """Table under construction: columns in their order, and which goes first if there is no room."""

    def __init__(self, *, dropped_first: Sequence[str]) -> None:
        """Name the columns that may go, the least useful first. A header names its column."""
        self._dropped_first = dropped_first
        self._columns: dict[str, dict[str, Any]] = {}
        self._min_widths: dict[str, int] = {}
        self._rows: list[tuple[Sequence[str | Text], str]] = []

    def add_column(self, header: str, *, min_width: int | None = None, **options: Any) -> None:
        """Add a column. `min_width` is for one that may be cut or wrapped to so many columns of text.

        The other options are those of rich.
        """
        self._columns[header] = {"no_wrap": min_width is None, **options}
        if min_width is not None:
            self._min_widths[header] = min_width

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """Add a row, with one cell for each column."""
        self._rows.append((cells, style))

    def fit(self, width: int, *, gap: int = 2, ascii_only: bool = False) -> Table:
        """Table of at most `width` columns of text, with `gap` + 1 between two of its columns if they fit."""
        kept = dict(zip(self._columns, self._needed(), strict=True))
        for header in self._dropped_first:
            if sum(kept.values()) + len(kept) - 1 <= width:
                break
            kept.pop(header, None)
        room, gaps = width - sum(kept.values()) - len(kept) + 1, max(1, len(kept) - 1)
        gap = max(0, min(gap, room // gaps))
        table = Table(
            box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, gap, 0, 0),  # the box has a line between two columns, which adds one
            header_style="bold",
        )
        for header, needed in kept.items():
            # rich would take the room for a long text from the other columns too.
            is_cut = header in self._min_widths and self._columns[header]["no_wrap"]
            cut_at = needed + max(0, room - gap * gaps) if is_cut else None
            table.add_column(header, max_width=cut_at, **self._columns[header])
        for cells, style in self._rows:
            named = dict(zip(self._columns, cells, strict=True))
            table.add_row(*(named[header] for header in kept), style=style)
        return table

    def _needed(self) -> list[int]:
        """Width that each column needs at least."""
        longest = [cell_len(header) for header in self._columns]
        for cells, _ in self._rows:
            for number, cell in enumerate(cells):
                text = cell.plain if isinstance(cell, Text) else cell
                longest[number] = max(longest[number], *map(cell_len, text.split("\n")))
        return [
            min(length, self._min_widths.get(header, length))
            for header, length in zip(self._columns, longest, strict=True)
        ]
