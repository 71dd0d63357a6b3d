"""How long the light commands take to start, beside a bare script that imports what they are made of.

    python benchmarks/startup.py --json startup.json

Ends with 1 where a command takes more than 1.5 times the bare script. The bare script imports names that any
small tool on these libraries uses, because `import rich` or `import pydantic` alone loads next to nothing.
Everything runs from bytecode, as what is installed does: with PYTHONDONTWRITEBYTECODE a checkout would be
compiled at each start and the libraries would not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.5
BARE = """
import typer
from rich.console import Console
from rich.table import Table
from pydantic import BaseModel, ConfigDict, Field
"""
PHYT2V = [sys.executable, "-m", "phyt2v_cli"]
COMMANDS = {
    "bare script": [sys.executable, "-c", BARE],
    "phyt2v --help": [*PHYT2V, "--help"],
    "phyt2v --version": [*PHYT2V, "--version"],
    "phyt2v preview-schedule": [*PHYT2V, "preview-schedule"],
}


def measure(repeats: int) -> dict[str, float]:
    """Return the median seconds of each command; they take turns, so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as bytecode:
        for turn in range(repeats + 1):
            for name, command in COMMANDS.items():
                start = time.perf_counter()
                subprocess.run(
                    command,
                    stdout=subprocess.DEVNULL,
                    check=True,
                    env={**environment, "PYTHONPYCACHEPREFIX": bytecode},
                )
                if turn:  # the first turn writes the bytecode and fills the disk cache
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    medians = measure(arguments.repeats)
    bare = medians["bare script"]
    print(f"{'':26}{'median s':>9}{'x bare':>8}")
    for name, seconds in medians.items():
        print(f"{name:26}{seconds:>9.3f}{seconds / bare:>8.2f}")
    within = all(seconds <= LIMIT * bare for seconds in medians.values())
    print(f"limit {LIMIT}: {'kept' if within else 'EXCEEDED'}")
    if arguments.json is not None:
        result = {
            "schema": "phyt2v.benchmark.startup/1",
            "repeats": arguments.repeats,
            "limit": LIMIT,
            "within_limit": within,
            "median_seconds": medians,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
