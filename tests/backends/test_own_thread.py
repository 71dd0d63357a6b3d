"""One thread that works for all: in it, in turn, and nothing is kept or lost on the way."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from phyt2v_cli.api import Studio
from phyt2v_cli.backends import background
from phyt2v_cli.backends.background import OwnThread
from phyt2v_cli.backends.guard import GuardedGenerator
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.roles import Cancelled, Decoded, Latents, never_cancelled
from phyt2v_cli.testing.fakes import FakeGenerator
from phyt2v_cli.turns import Turns, run_rank, waited_s
from tests.test_turns import held, wait_until


class Thing:
    pass


def test_work_of_many_threads_is_done_in_one_for_the_run_that_asks() -> None:
    own = OwnThread("mine alone")

    def ask(number: int) -> tuple[int, str, int]:
        run_rank.set(number)
        return own.do(lambda: (number, threading.current_thread().name, run_rank.get()))

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(ask, range(20))) == [(number, "mine alone", number) for number in range(20)]
    own.close()
    wait_until(lambda: "mine alone" not in {thread.name for thread in threading.enumerate()})


def test_an_error_is_the_callers_and_the_thread_goes_on() -> None:
    own = OwnThread("mine")

    def fail() -> None:
        raise BackendError("no")

    for _ in range(2):
        with pytest.raises(BackendError, match="no"):
            own.do(fail)
    assert own.do(lambda: 7) == 7


def test_what_was_begun_goes_on_while_the_caller_does() -> None:
    own, may_end = OwnThread("mine"), threading.Event()
    assert not background.is_at_work()
    wait = own.begin(lambda: may_end.wait(60))
    assert own.is_at_work
    assert background.is_at_work(), "the process must not end as usual"
    may_end.set()
    assert wait()
    assert not own.is_at_work


def test_a_closed_thread_takes_no_work() -> None:
    own = OwnThread("mine")
    own.do(lambda: None)
    own.close()
    own.close()
    with pytest.raises(RuntimeError, match="'mine' is closed"):
        own.do(lambda: None)


class Interrupted(OwnThread):
    """Thread whose caller is interrupted while it waits."""

    def do(self, work: Callable[[], object]) -> NoReturn:
        self.begin(work)
        raise KeyboardInterrupt


def test_who_stops_waiting_stops_the_render() -> None:
    class Patient(FakeGenerator):
        def denoise(self, *_: object, cancelled: Cancelled = never_cancelled, **__: object) -> NoReturn:
            wait_until(cancelled)
            raise RunInterruptedError("stopped")

    own = Interrupted("mine")
    with pytest.raises(KeyboardInterrupt):
        GuardedGenerator(Patient(), thread=own).denoise(
            "a ball", seed=0, num_inference_steps=2, on_step=lambda _: None
        )
    wait_until(lambda: not own.is_at_work)


def test_its_waiting_for_a_turn_is_the_callers() -> None:
    own, turns = OwnThread("mine"), Turns()

    def work() -> None:
        with turns.taken():
            pass

    waited: list[float] = []

    def ask() -> None:
        before = waited_s()
        own.do(work)
        waited.append(waited_s() - before)

    with held(turns, ask):
        wait_until(lambda: turns.num_waiting == 1)
        time.sleep(0.5)
    assert waited[0] >= 0.1


def test_neither_results_nor_errors_are_kept() -> None:
    own = OwnThread("mine")
    things = [Thing(), Thing()]
    refs = [weakref.ref(thing) for thing in things]
    assert own.do(lambda thing=things[0]: thing) is things[0]  # type: ignore[misc]

    def fail(thing: Thing = things[1]) -> None:
        raise BackendError(str(thing))

    with pytest.raises(BackendError):
        own.do(fail)
    del things, fail
    gc.disable()
    try:
        own.do(lambda: None)
        assert refs[0]() is None
    finally:
        gc.enable()
    gc.collect()
    assert refs[1]() is None


@pytest.mark.parametrize(("many", "name"), [(True, "render"), (False, "MainThread")])
def test_many_runs_render_in_one_thread(many: bool, name: str, tmp_path: Path) -> None:
    used: set[str] = set()

    class Named(FakeGenerator):
        def decode(self, latents: Latents) -> Decoded:
            used.add(threading.current_thread().name)
            return super().decode(latents)

    before = set(threading.enumerate())
    with Studio(generator=Named(), prefetches_control=not many) as studio:
        studio.generate("a ball drops", out=tmp_path / "ball.mp4", steps=2)
    assert used == {name}
    wait_until(
        lambda: not [one for one in threading.enumerate() if one not in before and one.name == "render"]
    )
