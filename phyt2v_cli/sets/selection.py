"""Selection from a prompt set: which columns count, which rows are taken, and with which seeds.

The order is fixed: `where`, `dedupe`, `limit`, `seeds`, `shard`. Knows how a selection is written and what it
means; reads no file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from phyt2v_cli.errors import UsageError
from phyt2v_cli.sets import columns
from phyt2v_cli.sets.shard import Shard

MAX_SEED = 2**63 - 1
_MAX_SEEDS = 1000


@dataclass(frozen=True)
class Selection:
    """Selection from a set; the default takes all of it."""

    prompt_column: str | None = None
    """None: the first of the published names that is there."""
    image_column: str | None = None
    """Column of the pictures that the videos begin with, as paths relative to the set's file."""
    where: tuple[tuple[str, str], ...] = ()
    """Columns with the values that a row must have to be taken; all must hold."""
    dedupe: bool = False
    """Whether of rows with the same prompt (and picture) only the first is taken."""
    limit: int | None = None
    """Number of prompts that are taken."""
    seeds: tuple[int, ...] = ()
    """Seeds that each prompt is rendered with, in place of the set's own."""
    shard: Shard | None = None

    @classmethod
    def parse(
        cls,
        *,
        prompt_column: str | None = None,
        image_column: str | None = None,
        where: Sequence[str] = (),
        dedupe: bool = False,
        limit: int | None = None,
        seeds: str | None = None,
        shard: str | None = None,
    ) -> "Selection":
        """Parse a selection as it is written on the command line; raises UsageError."""
        for name, column in (("prompt_column", prompt_column), ("image_column", image_column)):
            if column is not None and not column.strip():
                raise UsageError(f"{name}: it is empty", "Give the name of a column.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit: {limit} is no number of prompts", "Give one from 1 on.")
        return cls(
            prompt_column,
            image_column,
            tuple(map(_parse_where, where)),
            dedupe,
            limit,
            () if seeds is None else _parse_seeds(seeds),
            None if shard is None else Shard.parse(shard),
        )


class RowFilter:
    """`where` of a selection, applied to one row after another; remembers which columns it has met."""

    def __init__(self, where: Sequence[tuple[str, str]]) -> None:
        self._where = where
        self._unmet = {column for column, _ in where}
        self._names: dict[str, None] = {}

    def takes(self, fields: Mapping[str, object]) -> bool:
        """Whether a row is taken; raises ColumnError if two of its columns could be meant."""
        if self._unmet:
            names = tuple(fields)
            self._names.update(dict.fromkeys(names))
            self._unmet -= {column for column in self._unmet if columns.find(names, column) is not None}
        return all(columns.holds(fields, column, value) for column, value in self._where)

    def faults(self) -> Iterator[str]:
        """Yield a line for each column that no row had."""
        for column in sorted(self._unmet):
            yield f"where: no column is called {column!r}; {columns.list_names(self._names)}"

    def __str__(self) -> str:
        return " and ".join(f"{column}={value}" for column, value in self._where)


def _parse_where(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals or not column.strip():
        raise UsageError(f"where: {text!r} names no column and value", "Write COLUMN=VALUE after `where`.")
    return column.strip(), value.strip()


def _parse_seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not re.fullmatch("[0-9]{1,19}", part) or int(part) > MAX_SEED:
            raise UsageError(
                f"seeds: {part!r} is no whole number from 0 to {MAX_SEED}",
                "Write them as in 1,2,3 after `seeds`.",
            )
    seeds = tuple(map(int, parts))
    if len(seeds) > _MAX_SEEDS:
        raise UsageError(f"seeds: these are more than {_MAX_SEEDS:,}", "Give fewer.")
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise UsageError(f"seeds: {twice[0]} is given twice", "Each prompt is rendered once with each seed.")
    return seeds
