"""What is begun ahead gives what it would have given, and really runs at the same time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phyt2v_cli.backends import background, prefetch
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import Roles, Scores
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from phyt2v_cli.turns import Turns, run_rank, waited_s
from tests.test_turns import held, wait_until

VIDEO = Path("output1.mp4")


def test_the_result_or_the_error_is_handed_over() -> None:
    assert background.begin(lambda: 7, name="seven")() == 7

    def fail() -> int:
        raise BackendError("no")

    wait = background.begin(fail, name="fails")
    for _ in range(2):
        with pytest.raises(BackendError, match="no"):
            wait()


def test_background_work_takes_turns_for_the_run_that_began_it() -> None:
    turns, order, waited = Turns(), list[int](), dict[int, float]()

    def run(rank: int) -> None:
        wait_until(lambda: turns.num_waiting == 3 - rank)
        run_rank.set(rank)

        def work() -> None:
            with turns.taken():
                order.append(rank)

        before = waited_s()
        background.begin(work, name="work")()
        waited[rank] = waited_s() - before

    with held(turns, lambda: run(3), lambda: run(2), lambda: run(1)):
        wait_until(lambda: turns.num_waiting == 3)
        time.sleep(0.6)  # of which each run may lose some until it waits for its own work
    assert order == [1, 2, 3]
    assert all(seconds >= 0.1 for seconds in waited.values())


def test_only_the_wait_since_somebody_waits_for_it_is_waiting() -> None:
    turns, done = Turns(), threading.Event()

    def work() -> None:
        with turns.taken():
            done.set()

    with turns.taken():
        wait = background.begin(work, name="work")
        wait_until(lambda: turns.num_waiting == 1)
        time.sleep(0.6)
    assert done.wait(60)
    before = waited_s()
    wait()
    assert waited_s() - before < 0.5  # it was over by then


class MeetingScorer:
    """Scores only when the captioner is at work at the same time."""

    name = "meeting"

    def __init__(self, barrier: threading.Barrier) -> None:
        self.barrier = barrier
        self.prompts: list[str] = []

    def score(self, video_path: Path, prompt: str) -> Scores:
        assert video_path == VIDEO
        self.prompts.append(prompt)
        self.barrier.wait(timeout=60)
        return Scores(0.25, 0.75)


class MeetingCaptioner:
    def __init__(self, barrier: threading.Barrier) -> None:
        self.barrier = barrier

    def caption(self, video_path: Path, instruction: str) -> str:
        self.barrier.wait(timeout=60)
        return f"{video_path}: {instruction}"


def roles(captioner: object, *scorers: object) -> Roles:
    return Roles(FakeRoles().load_generator, FakeRoles().llm, captioner, scorers)  # type: ignore[arg-type]


def config(*backends_of_scorers: str) -> Config:
    first, *others = [
        {"backend": backend, "model": "m", "command": ["true"]} for backend in backends_of_scorers
    ]
    return Config.model_validate({"scorer": {**first, "others": others}})


def test_scorers_on_servers_are_asked_while_the_captioner_looks() -> None:
    barrier = threading.Barrier(3)
    one, other = MeetingScorer(barrier), MeetingScorer(barrier)
    plain = roles(MeetingCaptioner(barrier), one, other)
    drawn: list[str] = []

    @contextmanager
    def bar(name: str) -> Iterator[None]:
        drawn.append(f"{threading.current_thread().name}: {name}")
        yield

    beside = prefetch.overlap(config("openai", "openai"), plain, "a ball", span=bar)
    assert beside.captioner.caption(VIDEO, "describe") == "output1.mp4: describe"
    for scorer in beside.scorers:
        assert scorer.score(VIDEO, "a ball") == Scores(0.25, 0.75)
    assert one.prompts == other.prompts == ["a ball"], "each asked once"
    assert drawn == [f"score by {one.name}: score by {one.name}"] * 2


def test_scorers_of_this_machine_wait_their_turn() -> None:
    plain = roles(FakeRoles().captioner, FakeScorer())
    for backend in ("tracker", "transformers", "command"):
        beside = prefetch.overlap(config(backend), plain, "a ball")
        assert (beside.captioner, beside.scorers) == (plain.captioner, plain.scorers)


def test_a_score_that_was_not_begun_is_asked_for() -> None:
    scorer = FakeScorer()
    beside = prefetch.PrefetchedScorer(scorer, "a ball")
    assert beside.score(VIDEO, "a ball") == Scores(0.5, 0.5, ("half of it is missing",))
    beside.begin(VIDEO)
    beside.score(VIDEO, "another prompt")
    assert scorer.calls[-1] == ("output1.mp4", "another prompt")
    assert beside.name == scorer.name


def test_what_is_still_at_work_is_known() -> None:
    go_on = threading.Event()
    wait = background.begin(go_on.wait, name="waits")
    assert background.is_at_work()
    go_on.set()
    assert wait()
