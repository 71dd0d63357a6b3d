"""How much CPU time the commands take that people wait for, beside a bare script of the same libraries.

    python benchmarks/startup.py --json startup.json

CPU seconds, of which each is the least of 15 turns, so that a busy machine tells nearly the same. Ends with 1
where a limit is exceeded. The bare script imports names that any small tool on these libraries uses, because
`import rich` or `import pydantic` alone loads next to nothing. "First line" is what `refine` has used when it
writes its first line. Everything runs from bytecode, as what is installed does: with PYTHONDONTWRITEBYTECODE
a checkout would be compiled at each start and the libraries would not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

BARE = """
import typer
from rich.console import Console
from rich.table import Table
from pydantic import BaseModel, ConfigDict, Field
"""
PHYT2V = (sys.executable, "-m", "phyt2v_cli")
TINY = ("--prompt", "a red ball drops", "--rounds", "0", "--max", "2", "--min", "2", "--out", "run")


class Case(NamedTuple):
    """Command whose start is measured, and its limit: in CPU seconds, or times those of the bare script."""

    name: str
    command: Sequence[str]
    limit_s: float | None = None
    limit_ratio: float | None = None
    until_first_line: bool = False


CASES = (
    Case("bare script", (sys.executable, "-c", BARE)),
    Case("phyt2v --version", (*PHYT2V, "--version"), limit_ratio=1.5),
    Case("phyt2v --help", (*PHYT2V, "--help"), limit_ratio=1.5),
    Case("phyt2v preview-schedule", (*PHYT2V, "preview-schedule"), limit_ratio=1.5),
    Case("phyt2v refine --help", (*PHYT2V, "refine", "--help"), limit_ratio=1.9),
    Case("phyt2v refine, complete run", (*PHYT2V, "refine", *TINY), limit_s=0.5),
    Case(
        "phyt2v refine, first line",
        (*PHYT2V, "refine", *TINY[:-1], "another"),
        limit_s=0.6,
        until_first_line=True,
    ),
)


def cpu_of_whole(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Run a command to its end, and return its CPU seconds."""
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def cpu_until_first_line(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Run a command until it writes its first line, and return its CPU seconds so far; Linux only."""
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    process.stdout.readline()
    # Fields 14 and 15; the second one is a name in parentheses, which may have spaces.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    process.kill()
    process.communicate()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(repeats: int) -> dict[str, float]:
    """Return the least CPU seconds of each command; they take turns, so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {case.name: [] for case in CASES}
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as bytecode, tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for turn in range(repeats + 1):
            for case in CASES:
                run: Callable[..., float] = cpu_until_first_line if case.until_first_line else cpu_of_whole
                taken = run(case.command, environment, Path(folder))
                if turn:  # the first turn writes the bytecode, fills the disk cache, and completes the run
                    seconds[case.name].append(taken)
    return {name: min(values) for name, values in seconds.items()}


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    least = measure(arguments.repeats)
    bare = least[CASES[0].name]
    exceeded = []
    print(f"{'':30}{'CPU s':>8}{'x bare':>8}  limit")
    for case in CASES:
        taken = least[case.name]
        limit = case.limit_s if case.limit_ratio is None else case.limit_ratio * bare
        words = (
            ""
            if limit is None
            else f"{limit:.3f} s" + (f", {case.limit_ratio} x bare" if case.limit_ratio else "")
        )
        if limit is not None and taken > limit:
            exceeded.append(case.name)
            words += ", EXCEEDED"
        print(f"{case.name:30}{taken:>8.3f}{taken / bare:>8.2f}  {words}")
    if arguments.json is not None:
        result = {
            "schema": "phyt2v.benchmark.startup/2",
            "repeats": arguments.repeats,
            "cpu_seconds": least,
            "exceeded": exceeded,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(bool(exceeded))


if __name__ == "__main__":
    raise SystemExit(main())
