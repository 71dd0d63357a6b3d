"""The number of runs that are worth having open, measured with a clock that the test turns."""

import pytest

from phyt2v_cli.sets.overlap import Pace
from phyt2v_cli.turns import Turns
from tests.test_turns import Clock, held, wait_until

MANY = 1000
"""Items left to begin."""


def test_ranks_count_until_nothing_more_is_begun_and_few_are_left() -> None:
    turns = Turns(2)
    pace = Pace(turns)
    pace.count(3, 1)
    assert not turns.in_order_of_arrival
    pace.count(5, 0)  # twice as many as can work at once are few
    assert not turns.in_order_of_arrival
    pace.count(4, 0)
    assert turns.in_order_of_arrival


def test_the_last_are_begun_early() -> None:
    pace = Pace(Turns())
    assert [pace.num_worthwhile(left) for left in (100, 9, 8, 1)] == [8, 8, 16, 16]


@pytest.mark.parametrize("away", [0.0, 1.0, 6.0])
def test_the_number_open_follows_the_measured_ratio(away: float) -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    pace = Pace(turns, clock=clock)
    assert pace.num_worthwhile(MANY) == 8
    pace.count(4, MANY)
    clock.now += 300  # the model loads, which says nothing
    assert pace.num_worthwhile(MANY) == 8
    for _ in range(50):
        with turns.taken():
            clock.now += 1
            pace.num_worthwhile(MANY)  # asked again and again
        # All four are away, and meanwhile none works: each turn of a second costs `away` seconds.
        clock.now += away / 4
    # Four runs are open for 1 + away / 4 seconds for each second of work.
    ratio = 4 * (1 + away / 4)
    assert abs(pace.num_worthwhile(MANY) - (2 * ratio + 1)) <= 1


def test_waiting_for_the_generator_is_not_being_away() -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    pace = Pace(turns, clock=clock)
    pace.count(4, MANY)
    assert pace.num_worthwhile(MANY) == 8

    def work() -> None:
        with turns.taken():
            pass

    for _ in range(5):
        with held(turns, work, work, work):  # one works, three wait: nobody is ever away
            wait_until(lambda: turns.num_waiting == 3)
            clock.now += 10
    assert pace.num_worthwhile(MANY) == 3


def test_a_generator_that_takes_no_time_is_no_error() -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    pace = Pace(turns, clock=clock)
    pace.count(1, MANY)
    with turns.taken():
        pass
    clock.now += 5
    assert pace.num_worthwhile(MANY) == 8


def test_many_places_want_many_runs() -> None:
    assert Pace(Turns(16)).num_worthwhile(MANY) == 32
    assert Pace(Turns(16), num_open=3).num_worthwhile(MANY) == 3
