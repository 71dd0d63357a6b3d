"""Shard of a prompt set: every Nth entry, for N processes that share its work. Knows no entry and no file."""

import re
from dataclasses import dataclass
from typing import Self

from phyt2v_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `total` parts that are disjoint, cover the set, and differ by at most one entry."""

    index: int
    """From 1."""
    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``2/4``; raise UsageError unless these are whole numbers with 1 <= first <= second."""
        numbers = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
        if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
            raise UsageError(
                f"shard: {text!r} is no part of a set",
                "Shards of four are 1/4, 2/4, 3/4 and 4/4 (`shard`).",
            )
        return cls(int(numbers[1]), int(numbers[2]))

    @property
    def of_all(self) -> slice:
        """Slice that takes the part out of the sequence of all."""
        return slice(self.index - 1, None, self.total)

    @property
    def suffix(self) -> str:
        """Part of the names of files that each shard has for itself: ``-2-of-4``."""
        return f"-{self.index}-of-{self.total}"

    def __str__(self) -> str:
        return f"{self.index}/{self.total}"
