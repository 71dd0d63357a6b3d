"""Steps of a running pipeline, as its progress bar counts them. Knows no family and no run."""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any


class StepReporter:
    """Replacement for `pipeline.progress_bar`, the only progress hook that every pipeline class has."""

    def __init__(self, on_step: Callable[[int, int], None], num_steps: int) -> None:
        self._on_step = on_step
        self._num_steps = num_steps
        self._num_done = 0
        self._stopped_by: Exception | None = None

    def __call__(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> "StepReporter":
        self._iterable = iterable
        self._num_steps = total or self._num_steps  # video-to-video takes fewer
        self._num_done = 0
        return self

    def __iter__(self) -> Iterator[Any]:
        for item in () if self._iterable is None else self._iterable:
            yield item
            self.update()

    def __enter__(self) -> "StepReporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, n: int = 1) -> None:
        self._num_done += n
        try:
            self._on_step(self._num_done, self._num_steps)
        except Exception as error:
            self._stopped_by = error
            raise

    def close(self) -> None:
        return None

    def is_mine(self, error: Exception) -> bool:
        """True if `on_step` raised the error, and not the model."""
        return error is self._stopped_by
