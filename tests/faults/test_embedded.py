"""The embedded model for real: equal runs give equal bytes, and so do runs killed at random moments.

make test-slow                                  one run, killed once, and three killed again and again
make crash-soak                                 30 runs, each killed again and again until it is complete
CRASH_SOAK_RUNS=5 CRASH_SOAK_SEED=7 pytest …    as many, from that seed
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from phyt2v_cli.files.atomic import TEMPORARY
from tests.command_line import CommandLine
from tests.faults.processes import PHYT2V, QUICK, default_signals, end, outcome, start

MOST_KILLS = 25
"""Of one run; loading alone takes most of the time, so many a kill comes before anything new is done."""

REFINE = (*QUICK[:5], "--steps", "2,3")


class Whole(NamedTuple):
    path: Path
    seconds: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that nothing happened to, and how long it took. Do not write into it."""
    folder = tmp_path_factory.mktemp("another folder")
    began = time.monotonic()
    command = [*PHYT2V, *REFINE, "--out", str(folder / "other")]
    ended = end(start(command, cwd=folder, preexec_fn=default_signals))  # a new process, which hashes anew
    assert ended.code == 0, ended.err
    return Whole(folder / "other", time.monotonic() - began)


def kill_after(path: Path, seconds: float) -> bool:
    """Refine, and SIGKILL the process after some time; return whether it was complete before."""
    process = start([*PHYT2V, *REFINE, "--out", str(path)])
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode == 0


def finish(path: Path) -> None:
    ended = end(start([*PHYT2V, *REFINE, "--out", str(path)]))
    assert ended.code == 0, ended.err


def crash_until_complete(
    path: Path,
    whole: Whole,
    rng: random.Random,
    most_kills: int,
    finish: Callable[[Path], object] = finish,
) -> list[float]:
    """Kill at random moments, finish what is left, check what came of it, and return the kills' moments."""
    kills: list[float] = []
    longest = whole.seconds
    while len(kills) < most_kills:
        # The first lies in the first half, so that hardly any run is over before it.
        moment = round(rng.uniform(0.2, longest if kills else longest / 2), 3)
        if not kill_after(path, moment):
            kills.append(moment)
        elif kills:
            break
        else:  # the machine was busier when the other run took so long
            shutil.rmtree(path)
            longest = moment
    else:
        finish(path)
    crashed, uninterrupted = outcome(path), outcome(whole.path)
    # A reply is counted before its stage is saved: a kill in between has it asked, and counted, again.
    asked, needed = (records["run.json"].pop("usage")["requests"] for records in (crashed, uninterrupted))
    assert needed <= asked <= needed + len(kills), kills
    assert crashed == uninterrupted, kills
    assert not list(path.glob("latents*")) + list(path.glob(TEMPORARY)), kills
    assert not list(path.glob("*.broken-*")), kills  # a kill breaks nothing
    return kills


@pytest.mark.slow
def test_equal_runs_give_equal_bytes_in_any_process(
    whole: Whole, tmp_path: Path, phyt2v: CommandLine
) -> None:
    assert phyt2v(*REFINE, "--out", "run").code == 0
    assert outcome(tmp_path / "run") == outcome(whole.path)


@pytest.mark.slow
def test_a_kill_at_a_random_moment(whole: Whole, tmp_path: Path, phyt2v: CommandLine) -> None:
    def finish_here(path: Path) -> None:
        assert phyt2v(*REFINE, "--out", str(path)).code == 0

    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    crash_until_complete(tmp_path / "run", whole, random.Random(seed), 1, finish_here)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_crash_soak(whole: Whole, tmp_path: Path) -> None:
    runs = int(os.environ.get("CRASH_SOAK_RUNS", "3"))
    seed = int(os.environ.get("CRASH_SOAK_SEED", random.SystemRandom().randrange(2**32)))
    rng, num_kills = random.Random(seed), 0
    print(f"\nseed {seed}, an uninterrupted run takes {whole.seconds:.1f} s", flush=True)
    for number in range(1, runs + 1):
        kills = crash_until_complete(tmp_path / str(number), whole, rng, MOST_KILLS)
        num_kills += len(kills)
        print(f"run {number} of {runs}: killed {len(kills)} times, after {kills}", flush=True)
    print(f"{runs} of {runs} runs equal the uninterrupted one, after {num_kills} kills", flush=True)
