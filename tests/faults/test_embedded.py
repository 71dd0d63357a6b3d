"""The embedded model for real: equal runs give equal bytes, and so do runs killed at random moments.

make crash-soak                                 30 runs, each killed again and again until it is complete
CRASH_SOAK_RUNS=5 CRASH_SOAK_SEED=7 pytest …    as many, from that seed
"""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from phyt2v_cli.files.atomic import TEMPORARY
from tests.faults.processes import REFINE_EMBEDDED, end, outcome, start

MOST_KILLS = 25
"""Of one run; loading alone takes most of the time, so many a kill comes before anything new is done."""


class Again(NamedTuple):
    path: Path
    seconds: float


@pytest.fixture(scope="module")
def again(embedded_whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Again:
    """The same run in another folder, and how long it took with all files in the system's cache."""
    assert embedded_whole.exists()
    folder = tmp_path_factory.mktemp("another folder")
    began = time.monotonic()
    ended = end(start([*REFINE_EMBEDDED, "--out", str(folder / "other")], cwd=folder))
    assert ended.code == 0, ended.err
    return Again(folder / "other", time.monotonic() - began)


def kill_after(path: Path, seconds: float) -> bool:
    """Refine, and SIGKILL the process after some time; return whether it was complete before."""
    process = start([*REFINE_EMBEDDED, "--out", str(path)])
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode == 0


def crash_until_complete(path: Path, again: Again, rng: random.Random, most_kills: int) -> list[float]:
    """Kill at random moments, finish what is left, check what came of it, and return the kills' moments."""
    kills: list[float] = []
    longest = again.seconds
    while len(kills) < most_kills:
        # The first lies in the first half, so that no run is over before it.
        moment = round(rng.uniform(0.2, longest if kills else longest / 2), 3)
        if not kill_after(path, moment):
            kills.append(moment)
        elif kills:
            break
        else:  # the machine was busy when the other run took so long
            shutil.rmtree(path)
            longest = moment
    else:
        ended = end(start([*REFINE_EMBEDDED, "--out", str(path)]))
        assert ended.code == 0, ended.err
    crashed, whole = outcome(path), outcome(again.path)
    # A reply is counted before its stage is saved: a kill in between has it asked, and counted, again.
    asked, needed = (records["run.json"].pop("usage")["requests"] for records in (crashed, whole))
    assert needed <= asked <= needed + len(kills), kills
    assert crashed == whole, kills
    assert not list(path.glob("latents*")) + list(path.glob(TEMPORARY)), kills
    assert not list(path.glob("*.broken-*")), kills  # a kill breaks nothing
    return kills


def test_equal_runs_give_equal_bytes(embedded_whole: Path, again: Again) -> None:
    assert outcome(again.path) == outcome(embedded_whole)


def test_three_kills_at_random_moments(again: Again, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    crash_until_complete(tmp_path / "run", again, random.Random(seed), most_kills=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_crash_soak(again: Again, tmp_path: Path) -> None:
    runs = int(os.environ.get("CRASH_SOAK_RUNS", "3"))
    seed = int(os.environ.get("CRASH_SOAK_SEED", random.SystemRandom().randrange(2**32)))
    rng, num_kills = random.Random(seed), 0
    print(f"\nseed {seed}, an uninterrupted run takes {again.seconds:.1f} s", flush=True)
    for number in range(1, runs + 1):
        kills = crash_until_complete(tmp_path / str(number), again, rng, MOST_KILLS)
        num_kills += len(kills)
        print(f"run {number} of {runs}: killed {len(kills)} times, after {kills}", flush=True)
    print(f"{runs} of {runs} runs equal the uninterrupted one, after {num_kills} kills", flush=True)
