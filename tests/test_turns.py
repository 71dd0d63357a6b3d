"""Turns with real threads: who works, who is next, and what is counted."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.turns import Turns, count_waiting, run_rank, waited_s, waiting

PATIENCE_S = 60


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def in_threads(*targets: Callable[[], None]) -> Iterator[None]:
    """Run each target in a thread; their errors are raised at the end."""
    errors: list[BaseException] = []

    def catch(target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=catch, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    for error in errors:
        raise error


@contextmanager
def held(turns: Turns, *targets: Callable[[], None]) -> Iterator[None]:
    """Hold a place inside the block, and run each target in a thread; they are waited for after it."""
    with ExitStack() as joined, turns.taken():
        joined.enter_context(in_threads(*targets))
        yield


def queue_up(turns: Turns, *ranks: int, then: Callable[[int], None]) -> list[Callable[[], None]]:
    """Return targets that come one after another, each with its rank, and call `then` in their turn."""

    def come(number: int, rank: int) -> None:
        wait_until(lambda: turns.num_waiting == number)
        run_rank.set(rank)
        with turns.taken():
            then(rank)

    return [lambda n=n, rank=rank: come(n, rank) for n, rank in enumerate(ranks)]  # type: ignore[misc]


@pytest.mark.parametrize("num_places", [1, 3])
def test_no_more_threads_are_inside_than_there_are_places(num_places: int) -> None:
    turns = Turns(num_places)
    lock, inside, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(25):
            with turns.taken():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0002)
                with lock:
                    inside -= 1

    with in_threads(*[work] * 8):
        pass
    assert most == num_places
    assert (turns.num_done, turns.num_waiting, turns.num_places) == (200, 0, num_places)


def test_the_earliest_run_is_next() -> None:
    turns, order = Turns(), list[int]()
    with held(turns, *queue_up(turns, 5, 2, 9, 2, 1, then=order.append)):
        wait_until(lambda: turns.num_waiting == 5)
    assert order == [1, 2, 2, 5, 9]


def test_the_first_to_come_is_next_if_ranks_do_not_count() -> None:
    turns, order = Turns(), list[int]()
    turns.in_order_of_arrival = True
    with held(turns, *queue_up(turns, 5, 2, 9, 1, then=order.append)):
        wait_until(lambda: turns.num_waiting == 4)
    assert order == [5, 2, 9, 1]


def test_one_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    turns, stop, done = Turns(), threading.Event(), list[str]()

    def leave() -> None:
        with pytest.raises(RunInterruptedError, match="waited for its turn"), turns.taken(stop.is_set):
            done.append("never")

    def stay() -> None:
        run_rank.set(1)  # behind the one that leaves
        with turns.taken():
            done.append("stayed")

    with held(turns, leave, stay):
        wait_until(lambda: turns.num_waiting == 2)
        stop.set()
        wait_until(lambda: turns.num_waiting == 1)
    assert done == ["stayed"]
    assert (turns.num_done, turns.num_waiting) == (2, 0)


def test_one_is_cancelled_too_where_turns_change_all_the_time() -> None:
    turns, stop, has_left = Turns(), threading.Event(), threading.Event()

    def hurry() -> None:
        while not has_left.is_set():
            with turns.taken():
                time.sleep(0.0005)

    def leave() -> None:
        run_rank.set(1)  # so it never gets a turn
        with pytest.raises(RunInterruptedError), turns.taken(stop.is_set):
            pass
        has_left.set()

    with in_threads(hurry, hurry, hurry, leave):
        wait_until(lambda: turns.num_done > 20)
        stop.set()
        assert has_left.wait(PATIENCE_S)


def test_nobody_asks_for_a_free_place_whether_it_is_cancelled() -> None:
    def fail() -> bool:
        raise AssertionError

    with Turns().taken(fail):
        pass


def test_a_place_is_free_again_after_an_error() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="inside"), turns.taken():
        raise ValueError("inside")
    with turns.taken(lambda: True):
        pass
    with turns.taken(), in_threads(lambda: wait_in_vain(turns)):
        pass
    assert turns.num_waiting == 0
    with turns.taken(lambda: True):
        pass


def wait_in_vain(turns: Turns) -> None:
    def fail() -> bool:
        raise LookupError("asked")

    with pytest.raises(LookupError, match="asked"), turns.taken(fail):
        pass


def test_more_places_let_the_waiting_in_and_fewer_let_those_inside_stay() -> None:
    turns, is_inside, may_leave = Turns(1), threading.Event(), threading.Event()

    def work() -> None:
        with turns.taken():
            is_inside.set()
            assert may_leave.wait(PATIENCE_S)

    with turns.taken(), in_threads(work):
        wait_until(lambda: turns.num_waiting == 1)
        turns.resize(2)
        assert is_inside.wait(PATIENCE_S)
        turns.resize(1)
        may_leave.set()
    assert turns.num_done == 2


def test_each_thread_knows_how_long_it_has_waited() -> None:
    clock = Clock()
    turns, waited = Turns(clock=clock), dict[str, float]()

    def work() -> None:
        assert waited_s() == 0
        with turns.taken():
            clock.now += 10  # work is no waiting
        waited["worker"] = waited_s()

    before = waited_s()
    with held(turns, work):
        wait_until(lambda: turns.num_waiting == 1)
        clock.now += 5
    assert waited == {"worker": 5}
    assert waited_s() == before


def test_one_that_leaves_without_a_turn_has_waited_too() -> None:
    clock = Clock()
    turns = Turns(clock=clock)

    def give_up() -> bool:
        clock.now += 2
        return True

    def leave() -> None:
        with pytest.raises(RunInterruptedError), turns.taken(give_up):
            pass
        assert waited_s() == 2

    with turns.taken(), in_threads(leave):
        pass


def test_other_waiting_can_be_counted() -> None:
    clock, before = Clock(), waited_s()
    with pytest.raises(ValueError, match="inside"), waiting(clock):
        clock.now += 3
        raise ValueError("inside")
    count_waiting(0.5)
    assert waited_s() - before == 3.5


def test_busy_and_waiting_seconds() -> None:
    clock = Clock()
    turns, may_leave = Turns(2, clock=clock), threading.Event()
    clock.now += 50
    assert (turns.busy_s, turns.waiting_s, turns.busy_share()) == (0, 0, None)

    def work() -> None:
        with turns.taken():
            assert may_leave.wait(PATIENCE_S)

    with turns.taken():
        clock.now += 1
        assert (turns.busy_s, turns.waiting_s, turns.busy_share()) == (1, 0, 0.5)
        with in_threads(work, work):
            wait_until(lambda: turns.num_waiting == 1)
            clock.now += 2
            assert (turns.busy_s, turns.waiting_s, turns.busy_share()) == (5, 2, 5 / 6)
            may_leave.set()
    clock.now += 7  # nobody is there
    assert (turns.busy_s, turns.waiting_s, turns.busy_share()) == (5, 2, 0.25)
    assert turns.num_done == 3
