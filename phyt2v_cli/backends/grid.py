"""The numbers of frames or pixels that a family makes, and the nearest of them. Plain arithmetic."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """The values that a family makes: `start`, `start + step`, … up to `largest`."""

    step: int = 1
    start: int = 0
    largest: int | None = None

    def has(self, value: int) -> bool:
        """Tell whether a family makes this value."""
        too_large = self.largest is not None and value > self.largest
        return value >= self.start and (value - self.start) % self.step == 0 and not too_large

    def floor(self, value: int) -> int:
        """Return the largest right value that is not above; 0 or less where there is none."""
        below = self.start + (value - self.start) // self.step * self.step
        return below if self.largest is None else min(below, self.largest)

    def nearest(self, value: int) -> list[int]:
        """Return the right values on both sides of a wrong one, or the one at that end."""
        smallest = self.start or self.step
        largest = self.largest or value + self.step
        below = self.floor(value)
        ends = {min(max(right, smallest), largest) for right in (below, below + self.step)}
        return sorted(ends)

    def in_words(self) -> str:
        """Return the rule, as in `8k+1 up to 49` or `a multiple of 16`."""
        if self.largest == self.start:
            return f"exactly {self.start}"
        if self.largest is not None and self.step == 1:
            return f"{self.start} to {self.largest}"
        rule = f"{self.step}k+{self.start}" if self.start else f"a multiple of {self.step}"
        return rule if self.largest is None else f"{rule} up to {self.largest}"


ANY_NUMBER = Grid()
