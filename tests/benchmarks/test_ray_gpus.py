"""The share in which the GPUs are busy leaves out what comes before the measured set."""

from importlib import import_module
from pathlib import Path

import pytest

from phyt2v_cli.events import StageStarted
from phyt2v_cli.turns import Turns
from phyt2v_cli.video_id import RoundId
from tests.test_turns import Clock

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow  # to import the pipelines
def test_the_busy_share_counts_from_the_first_render_of_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # its scripts import each other
    clock = Clock()
    turns = Turns(clock=clock)
    with turns.taken():  # the warm-up
        clock.now += 50
    clock.now += 500  # the other worker loads
    turns.resize(2)
    busy = import_module("ray_gpus").BusyShare(turns, clock=clock)
    clock.now += 100  # the LLM is asked
    assert busy.share() == 0
    busy.hear(StageStarted(RoundId(1), "denoise"))
    with turns.taken():
        clock.now += 5
        busy.hear(StageStarted(RoundId(1), "denoise"))
        with turns.taken():
            clock.now += 5
    assert busy.share() == pytest.approx(0.75)
    assert (turns.busy_share() or 1) < 0.1
