"""Overlap of many runs: each in its own thread, so that the generator works on one while others wait.

Invariants:

1. Work is one call for each item, in a thread of its own; what it returns or raises is handed over once.
2. Items are begun in order. One more is begun only while fewer runs are open than keep the generator busy
   (`Pace`). Of those that wait for the generator the one that was begun first gets it, but for the last few.
3. After a fatal error, after a result that is the last one wanted, and if the caller stops asking,
   `cancelled()` is true for all that is open, and nothing is begun any more. Open work that hears of it is
   waited for, since it saves what it has; work that does not ask within `GRACE_S` seconds (a silent server)
   is abandoned, as a single run would be. What it returns all the same is handed over, if the caller asks.
4. Items aside need no generator. They are worked through one after the other from the start on, and the pace
   does not count them.
5. The errors that end everything are raised once, the first of them, after the rest has ended. Of work that
   was told to end, for a last result, errors are no news.
6. If no more threads can be started, what is open continues; that is an error only if nothing is open.

Knows threads, turns and callbacks; knows no prompt, run, model or terminal.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakSet

from phyt2v_cli.roles import Cancelled
from phyt2v_cli.turns import Turns, run_rank

GRACE_S = 0.8
"""Seconds that open work has to hear that it is cancelled."""
_TICK_S = 0.2
"""Seconds after which the pace is asked again."""
_FIRST_OPEN = 8
"""Runs open until it is measured how long they are away from the generator; more with many places at it."""
_MAX_OPEN = 32
"""Most runs open for each place."""

_begun: WeakSet[threading.Thread] = WeakSet()

Item = TypeVar("Item")
Result = TypeVar("Result")


def is_at_work() -> bool:
    """Check if any work that was begun in this process, and maybe abandoned, still runs."""
    return any(thread.is_alive() for thread in _begun)


class Pace:
    """Number of runs that are worth having open: as many as keep the generator busy, and some that wait.

    Runs that each work `w` seconds at the generator and are then away for `a` seconds keep it busy if there
    are `1 + a / w` of them (Little's law). The ratio is measured while the set runs.
    """

    def __init__(
        self, turns: Turns, *, num_open: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Measure at `turns`; with `num_open` that many runs are open, whatever is measured."""
        self._turns = turns
        self._fixed = num_open
        self._clock = clock
        self._open_s = 0.0
        self._num_open = 0
        self._counted_at = clock()

    def count(self, num_open: int, num_left: int) -> None:
        """Count the runs that are open from now on, and those that are not begun.

        Once none is left to begin, and few are open, they take turns by arrival: they then end together. By
        rank the very last would render alone, with nothing for the generator to do while it is away.
        """
        self._advance()
        self._num_open = num_open
        ratio = self._ratio()
        few = 2 * (1.0 if ratio is None else ratio) * self._turns.num_places
        self._turns.in_order_of_arrival = num_left == 0 and num_open <= few

    def num_worthwhile(self, num_left: int) -> int:
        """Number of runs that are worth having open now, if `num_left` are not begun.

        More than work and are away on average, since they are not spread evenly: with one place twice as
        many, with many places a little more. The last are begun early, so that all end together.
        """
        if self._fixed is not None:
            return self._fixed
        self._advance()
        places, ratio = self._turns.num_places, self._ratio()
        if ratio is None:
            steady = max(_FIRST_OPEN, 2 * places)
        else:
            spare = math.sqrt(places)
            steady = max(math.ceil(ratio * (places + spare) + spare), places + 1)
        return 2 * steady if num_left <= steady else steady

    def _ratio(self) -> float | None:
        """Runs that work or are away for each place that is taken, on average; None until one has worked."""
        busy_s = self._turns.busy_s
        if not busy_s:
            self._open_s = 0.0  # a model that loads says nothing about runs
        if not busy_s or not self._turns.num_done:
            return None
        return min((self._open_s - self._turns.waiting_s) / busy_s, _MAX_OPEN)

    def _advance(self) -> None:
        now = self._clock()
        self._open_s += self._num_open * (now - self._counted_at)
        self._counted_at = now


@dataclass(eq=False)
class _Open(Generic[Result]):
    """Work in progress, and its result."""

    has_heard: bool = False
    """Whether it was told that it is cancelled."""
    result: Result | None = None
    error: BaseException | None = None


def side_by_side(
    items: Sequence[Item],
    work: Callable[[Item, Cancelled], Result],
    *,
    pace: Pace,
    cancelled: Cancelled,
    aside: Sequence[Item] = (),
    is_last: Callable[[Result], bool] = lambda _: False,
) -> Iterator[Result]:
    """Call `work` for each item, several at once, and yield what the calls return as they end.

    Beside them it is called for each that is `aside`, one at a time. `work` gets the item, and a `cancelled`
    that it must ask now and then. A result for which `is_last` holds ends the rest; what that still returns
    is yielded too. Raises the first error that a call raises, after the others have ended, and so it does
    with a KeyboardInterrupt that comes meanwhile.
    """
    ended: queue.SimpleQueue[_Open[Result]] = queue.SimpleQueue()
    is_over = threading.Event()
    opened: set[_Open[Result]] = set()
    num_begun = num_aside = 0
    one_aside: _Open[Result] | None = None
    has_last = False
    error: BaseException | None = None
    deadline: float | None = None

    def do(one: _Open[Result], rank: int, item: Item) -> None:
        def is_cancelled() -> bool:
            if is_over.is_set() or cancelled():
                one.has_heard = True
            return one.has_heard

        run_rank.set(rank)
        try:
            one.result = work(item, is_cancelled)
        except BaseException as raised:
            one.error = raised
        ended.put(one)

    def begin(item: Item, rank: int) -> _Open[Result] | None:
        one = _Open[Result]()
        # A daemon, so that the process need not wait for work that was abandoned.
        thread = threading.Thread(target=do, args=(one, rank, item), name=f"run {rank}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are too many threads
            if not opened:
                raise
            return None
        _begun.add(thread)
        opened.add(one)
        return one

    def begin_next() -> bool:
        nonlocal num_begun
        if begin(items[num_begun], num_begun + 1) is None:
            return False
        num_begun += 1
        count()
        return True

    def begin_aside() -> None:
        nonlocal num_aside, one_aside
        if one_aside not in opened and num_aside < len(aside):
            one_aside = begin(aside[num_aside], len(items) + num_aside + 1)
            num_aside += one_aside is not None

    def num_open() -> int:
        return len(opened) - (one_aside in opened)

    def count() -> None:
        pace.count(num_open(), len(items) - num_begun)

    def can_begin() -> bool:
        left = len(items) - num_begun
        return left > 0 and num_open() < pace.num_worthwhile(left)

    def wait(timeout_s: float) -> _Open[Result] | None:
        try:
            one = ended.get(timeout=timeout_s)
        except queue.Empty:
            return None
        opened.discard(one)
        count()
        return one

    def drain() -> Iterator[_Open[Result]]:
        nonlocal deadline
        is_over.set()
        deadline = deadline or time.monotonic() + GRACE_S
        while opened and (time.monotonic() < deadline or any(one.has_heard for one in opened)):
            if one := wait(_TICK_S / 4):
                yield one

    def results() -> Iterator[_Open[Result]]:
        nonlocal error, has_last
        while error is None and not has_last:
            while can_begin() and begin_next():
                pass
            begin_aside()
            if not opened:
                return
            if one := wait(_TICK_S):
                error = one.error
                if error is None:
                    has_last = is_last(one.result)  # type: ignore[arg-type]  # without an error there is one
                    yield one
        for one in drain():
            if one.error is None:
                yield one

    try:
        is_interrupted = True
        while is_interrupted:
            is_interrupted = False
            try:
                for one in results():
                    yield one.result  # type: ignore[misc]
            except KeyboardInterrupt as interruption:  # a stop that nobody has heard, at any moment
                if isinstance(error, KeyboardInterrupt):
                    raise
                error, is_interrupted = error or interruption, True
        if error is not None:
            raise error
    finally:
        for _ in drain():
            pass
