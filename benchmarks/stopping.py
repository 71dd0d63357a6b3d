"""How soon `phyt2v refine` ends after Ctrl-C, SIGTERM or SIGHUP, in the middle of whatever it does.

    python benchmarks/stopping.py --json stopping.json

On the embedded model, and with doubles of the roles that hang for good. Ends with 1 if a stop took more than
two seconds, or the second signal more than half of one. That a stopped run resumes, and equals one that was
never stopped, is tested by tests/faults/test_signals.py.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

from tests.faults.processes import (
    EIGHT_STEPS,
    PHYT2V,
    QUICK,
    STOPPING,
    Doubled,
    end,
    read_until,
    start,
    with_a_bar,
)

LIMIT_S = 2.0
SECOND_LIMIT_S = 0.5
CALLS = ("load:1", "analysis:1", "decode:2")

Place = Callable[[Path], "Popen[str]"]
"""Starts a command in a new folder, and returns once it is where the signal is to find it."""


def in_the_middle_of(call: str) -> Place:
    """The place inside a call of a role that hangs."""

    def reach(folder: Path) -> "Popen[str]":
        doubled = Doubled(folder)
        process = doubled.start(*QUICK, "--out", folder / "run", script={"hang": [call]})
        doubled.wait_for(f"{call} hangs")
        return process

    return reach


def while_the_model_loads(folder: Path) -> "Popen[str]":
    process = start([*PHYT2V, *QUICK, "--out", str(folder / "run")], with_a_bar())
    read_until(process, "loading the model")
    return process


def while_the_model_denoises(folder: Path) -> "Popen[str]":
    process = start([*PHYT2V, *EIGHT_STEPS, "--out", str(folder / "run")], with_a_bar())
    read_until(process, r"denoising[^\r\n]* [1-9]/8 ")
    return process


PLACES: dict[str, Place] = {
    **{f"{call} of doubles": in_the_middle_of(call) for call in CALLS},
    "the embedded model loads": while_the_model_loads,
    "the embedded model denoises": while_the_model_denoises,
}


def stop_once(place: Place, number: signal.Signals) -> float:
    """The seconds from one signal to the end of the process."""
    with tempfile.TemporaryDirectory() as folder:
        process = place(Path(folder))
        sent = time.perf_counter()
        process.send_signal(number)
        code = end(process).code
        seconds = time.perf_counter() - sent
    if code != 128 + number:
        raise RuntimeError(f"it ended with {code}")
    return seconds


def stop_twice(number: signal.Signals) -> float:
    """The seconds from the second signal to the end of the process."""
    with tempfile.TemporaryDirectory() as folder:
        process = in_the_middle_of("decode:2")(Path(folder))
        process.send_signal(number)
        read_until(process, "stopping soon")
        sent = time.perf_counter()
        process.send_signal(number)
        end(process)
        return time.perf_counter() - sent


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of each signal at each place")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    numbers = [number for number in STOPPING for _ in range(arguments.repeats)]
    seconds = {name: [stop_once(place, number) for number in numbers] for name, place in PLACES.items()}
    seconds["a second signal"] = [stop_twice(number) for number in numbers]
    print(f"{'':30}{'median s':>9}{'worst s':>9}")
    for name, values in seconds.items():
        print(f"{name:30}{statistics.median(values):>9.2f}{max(values):>9.2f}")
    limits = dict.fromkeys(PLACES, LIMIT_S) | {"a second signal": SECOND_LIMIT_S}
    within = all(max(values) <= limits[name] for name, values in seconds.items())
    print(f"limits {LIMIT_S:g} and {SECOND_LIMIT_S:g} s: {'kept' if within else 'EXCEEDED'}")
    if arguments.json is not None:
        result = {
            "schema": "phyt2v.benchmark.stopping/1",
            "within_limits": within,
            "limits_s": limits,
            "seconds": seconds,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
