"""Overlap of runs in real threads: what is begun when, and how all of it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.roles import Cancelled
from phyt2v_cli.sets import overlap
from phyt2v_cli.sets.overlap import Pace, is_at_work, side_by_side
from phyt2v_cli.turns import Turns, run_rank
from tests.test_turns import PATIENCE_S, wait_until


def never() -> bool:
    return False


def begin(
    items: Any,
    work: Callable[[int, Cancelled], Any],
    *,
    num_open: int = 3,
    cancelled: Cancelled = never,
    **options: Any,
) -> Iterator[Any]:
    return side_by_side(items, work, pace=Pace(Turns(), num_open=num_open), cancelled=cancelled, **options)


def wait_to_hear(cancelled: Cancelled) -> None:
    wait_until(cancelled)
    raise RunInterruptedError("heard")


class Until:
    """Work that is not over before somebody says so; it does not ask whether it is cancelled."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may_end: dict[int, threading.Event] = {n: threading.Event() for n in range(10)}

    def __call__(self, item: int, _: Cancelled) -> int:
        self.begun.append(item)
        assert self.may_end[item].wait(PATIENCE_S)
        return item


@pytest.fixture
def until() -> Iterator[Until]:
    """Such work, which ends with the test at the latest."""
    work = Until()
    yield work
    for event in work.may_end.values():
        event.set()


def test_results_come_as_work_ends_and_each_once(until: Until) -> None:
    results = begin(range(4), until, num_open=4)
    for item in (2, 0, 3, 1):
        until.may_end[item].set()
        assert next(results) == item
    assert list(results) == []
    assert list(begin([], until)) == []


def test_work_is_begun_in_order_and_only_as_much_as_may_be_open(until: Until) -> None:
    results = begin(range(6), until, num_open=2)
    until.may_end[1].set()
    assert next(results) == 1
    wait_until(lambda: len(until.begun) >= 2)
    assert until.begun == [0, 1]  # the next is begun when it is asked for
    until.may_end[0].set()
    assert next(results) == 0
    wait_until(lambda: len(until.begun) == 3)
    for event in until.may_end.values():
        event.set()
    assert sorted(results) == [2, 3, 4, 5]
    assert until.begun == [0, 1, 2, 3, 4, 5]


def test_earlier_items_go_first_but_for_the_last_few() -> None:
    turns, ranks = Turns(), list[int]()

    def work(item: int, _: Cancelled) -> int:
        ranks.append(run_rank.get())
        return item

    list(side_by_side("abcde", work, pace=Pace(turns, num_open=1), cancelled=never))  # type: ignore[arg-type]
    assert ranks == [1, 2, 3, 4, 5]
    assert turns.in_order_of_arrival


def test_more_is_begun_without_waiting_for_an_end(until: Until) -> None:
    turns = Turns()
    pace = Pace(turns)

    def one_turn_then_away(item: int, cancelled: Cancelled) -> int:
        with turns.taken():
            time.sleep(0.005)
        return until(item, cancelled)

    results = side_by_side(range(10), one_turn_then_away, pace=pace, cancelled=never)
    thread = threading.Thread(target=lambda: list(results), daemon=True)
    thread.start()
    wait_until(lambda: len(until.begun) == 10)  # though the first eight are still away
    for event in until.may_end.values():
        event.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_an_error_ends_the_others_and_is_raised_after_them() -> None:
    ended: list[int] = []
    both = threading.Barrier(3)

    def work(item: int, cancelled: Cancelled) -> int:
        both.wait(PATIENCE_S)
        if item == 0:
            raise ValueError("fatal")
        wait_until(cancelled)
        time.sleep(0.05)  # saves what it has
        ended.append(item)
        if item == 1:
            return item
        raise RunInterruptedError("heard")

    results = begin(range(9), work, num_open=3)
    got = []
    with pytest.raises(ValueError, match="fatal"):
        for result in results:
            got.append(result)
    assert (sorted(ended), got) == ([1, 2], [1])
    assert list(results) == []


def test_the_first_of_several_errors_is_raised() -> None:
    first_is_over = threading.Event()

    def work(item: int, cancelled: Cancelled) -> int:
        if item == 1:
            first_is_over.set()
            raise ValueError("first")
        assert first_is_over.wait(PATIENCE_S)
        wait_until(cancelled)
        raise LookupError("second")

    with pytest.raises(ValueError, match="first"):
        list(begin(range(2), work))


def test_a_stop_is_heard_by_all_that_is_open_and_nothing_more_is_begun() -> None:
    stop, begun = threading.Event(), list[int]()

    def work(item: int, cancelled: Cancelled) -> int:
        begun.append(item)
        if len(begun) == 3:
            stop.set()
        wait_to_hear(cancelled)
        return item

    with pytest.raises(RunInterruptedError, match="heard"):
        list(begin(range(9), work, cancelled=stop.is_set))
    assert sorted(begun) == [0, 1, 2]


def test_who_does_not_listen_is_abandoned_after_the_grace(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "GRACE_S", 0.2)

    def work(item: int, cancelled: Cancelled) -> int:
        if item == 0:
            raise ValueError("fatal")
        return until(item, cancelled)

    start = time.monotonic()
    with pytest.raises(ValueError, match="fatal"):
        list(begin(range(3), work))
    assert time.monotonic() - start >= 0.2
    assert is_at_work(), "the process must not end as usual"
    for event in until.may_end.values():
        event.set()
    wait_until(lambda: not is_at_work())


def test_who_has_heard_is_waited_for_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "GRACE_S", 0.05)
    saved: list[int] = []

    def work(item: int, cancelled: Cancelled) -> int:
        if item == 0:
            raise ValueError("fatal")
        wait_until(cancelled)
        time.sleep(0.5)
        saved.append(item)
        return item

    with pytest.raises(ValueError, match="fatal"):
        list(begin(range(2), work))
    assert saved == [1]


def test_a_caller_that_stops_asking_ends_what_is_open() -> None:
    heard: list[int] = []

    def work(item: int, cancelled: Cancelled) -> int:
        if item:
            wait_until(cancelled)
            heard.append(item)
        return item

    results = begin(range(9), work)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert sorted(heard) == [1, 2]
    assert list(results) == []


def test_what_ends_after_the_last_result_that_is_wanted_is_handed_over() -> None:
    all_three = threading.Barrier(3)
    begun: list[int] = []

    def work(item: int, cancelled: Cancelled) -> int:
        begun.append(item)
        all_three.wait(PATIENCE_S)
        if item == 1:
            return item
        wait_until(cancelled)
        time.sleep(0.05)
        if item == 2:
            return item
        raise RunInterruptedError("heard")  # no news

    assert list(begin(range(9), work, is_last=lambda item: item == 1)) == [1, 2]
    assert sorted(begun) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("fails_fast", [False, True])
def test_ctrl_c_that_nobody_hears_is_raised_after_what_ends_in_the_grace(
    fails_fast: bool, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "GRACE_S", 4.0)
    got: list[int] = []
    both = threading.Barrier(2)

    def work(item: int, cancelled: Cancelled) -> int:
        if item == 9:  # never ends by itself
            both.wait(PATIENCE_S)
            return until(item, cancelled)
        both.wait(PATIENCE_S)
        if fails_fast and item == 1:
            return item
        wait_until(lambda: got == ([1] if fails_fast else []))
        time.sleep(0.5)  # the caller waits, for the result or in the drain
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        return item

    def is_last(item: int) -> bool:
        return fails_fast and item == 1

    if fails_fast:
        both = threading.Barrier(3)
    with pytest.raises(KeyboardInterrupt):
        for result in begin([9, 1, 0][: both.parties], work, is_last=is_last):
            got.append(result)
    assert got == ([1, 0] if fails_fast else [1])


def test_what_is_aside_delays_nothing_and_takes_part_in_no_pace(until: Until) -> None:
    pace = Pace(Turns(), num_open=2)
    results = side_by_side(range(4), until, pace=pace, cancelled=never, aside=range(4, 10))
    until.may_end[4].set()
    assert next(results) == 4
    until.may_end[5].set()
    assert next(results) == 5
    wait_until(lambda: len(until.begun) == 4)
    assert sorted(until.begun) == [0, 1, 4, 5], "one at a time, beside as many as may be open"
    for item in (0, 1, 2, 3):
        until.may_end[item].set()
    assert sorted(next(results) for _ in range(4)) == [0, 1, 2, 3]
    for event in until.may_end.values():
        event.set()
    assert list(results) == [6, 7, 8, 9]


def test_without_more_threads_what_is_open_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    start, alive = threading.Thread.start, list[threading.Thread]()

    def start_two(thread: threading.Thread) -> None:
        if thread.name.startswith("run "):
            if sum(one.is_alive() for one in alive) >= 2:
                raise RuntimeError("can't start new thread")
            alive.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    order: list[int] = []

    def work(item: int, _: Cancelled) -> int:
        order.append(item)
        return item

    assert sorted(begin(range(7), work, num_open=5)) == [0, 1, 2, 3, 4, 5, 6]
    assert order == [0, 1, 2, 3, 4, 5, 6]


def test_without_any_thread_that_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(begin(range(3), lambda item, _: item))
