"""Shard of a prompt set: one of several equal shares, each done by a process of its own. Knows no prompts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Share `index` of `total`, as in 2 of 4."""

    index: int
    """From 1."""
    total: int

    def __str__(self) -> str:
        return f"{self.index}/{self.total}"

    @property
    def suffix(self) -> str:
        """End of the names of files that belong to this share alone, as in ``-2-of-4``."""
        return f"-{self.index}-of-{self.total}"
