"""The embedded model for real: equal runs give equal bytes, and so do runs killed at random moments.

make crash-soak                                 30 runs, each killed again and again until it is complete
CRASH_SOAK_RUNS=5 CRASH_SOAK_SEED=7 pytest …    as many, from that seed
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.processes import PHYT2V, end, outcome, start

REFINE = [*PHYT2V, "refine", "--prompt", "a red ball drops", "--rounds", "1", "--min", "2", "--max", "3"]
MOST_KILLS = 25
"""Of one run; loading alone takes most of the time, so many a kill comes before anything new is done."""


class Whole(NamedTuple):
    path: Path
    seconds: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that nothing happened to, and how long it took."""
    path = tmp_path_factory.mktemp("embedded") / "run"
    began = time.monotonic()
    ended = end(start([*REFINE, "--out", str(path)]))
    assert ended.code == 0, ended.err
    return Whole(path, time.monotonic() - began)


def kill_after(path: Path, seconds: float) -> bool:
    """Refine, and SIGKILL the process after some time; return whether it was complete before."""
    process = start([*REFINE, "--out", str(path)])
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode == 0


def crash_until_complete(path: Path, whole: Whole, rng: random.Random, most_kills: int) -> list[float]:
    """Kill at random moments, finish what is left, check that it equals `whole`, and return the moments."""
    moments: list[float] = []
    while len(moments) < most_kills:
        moments.append(round(rng.uniform(0.2, whole.seconds), 3))
        if kill_after(path, moments[-1]):
            break
    else:
        ended = end(start([*REFINE, "--out", str(path)]))
        assert ended.code == 0, ended.err
    assert outcome(path) == outcome(whole.path), moments
    assert not list(path.glob("latents*")) + list(path.glob(".*phyt2v-tmp")), moments
    assert not list(path.glob("*.broken-*")), moments  # a kill breaks nothing
    return moments


def test_equal_runs_give_equal_bytes(whole: Whole, tmp_path: Path) -> None:
    other = tmp_path / "another folder"
    ended = end(start([*REFINE, "--out", str(other)], cwd=tmp_path))
    assert ended.code == 0, ended.err
    assert outcome(other) == outcome(whole.path)
    assert (other / "contact.png").read_bytes() == (whole.path / "contact.png").read_bytes()


def test_three_kills_at_random_moments(whole: Whole, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    crash_until_complete(tmp_path / "run", whole, random.Random(seed), most_kills=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_crash_soak(whole: Whole, tmp_path: Path) -> None:
    runs = int(os.environ.get("CRASH_SOAK_RUNS", "3"))
    seed = int(os.environ.get("CRASH_SOAK_SEED", random.SystemRandom().randrange(2**32)))
    rng, kills = random.Random(seed), 0
    print(f"\nseed {seed}, an uninterrupted run takes {whole.seconds:.1f} s", flush=True)
    for number in range(1, runs + 1):
        moments = crash_until_complete(tmp_path / str(number), whole, rng, MOST_KILLS)
        kills += len(moments)
        print(
            f"run {number} of {runs}: started {len(moments) + 1} times at most, killed after {moments}",
            flush=True,
        )
    print(f"{runs} of {runs} runs equal the uninterrupted one, after {kills} random moments", flush=True)
