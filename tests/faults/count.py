"""A pytest plugin that says how many of the faults in docs/faults.md are survived: `make faults`.

A fault is survived where at least one test with its number ran and all that ran passed; none was skipped.
A test may have several numbers: ``test_fault_30_31_…``.
"""

import re
from collections import defaultdict

import pytest

NUM_FAULTS = 65
_NUMBERED = re.compile(r"::test_fault_((?:\d\d_)+)")

_results: defaultdict[int, set[str]] = defaultdict(set)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    numbers = _NUMBERED.search(report.nodeid)
    if numbers and (report.when == "call" or report.outcome != "passed"):
        for number in numbers[1].split("_")[:-1]:
            _results[int(number)].add(report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    survived = [number for number in range(1, NUM_FAULTS + 1) if _results[number] == {"passed"}]
    terminalreporter.section("faults")
    for number in sorted(set(range(1, NUM_FAULTS + 1)) - set(survived)):
        why = ", ".join(sorted(_results[number] - {"passed"})) or "no test"
        terminalreporter.line(f"{number:02}: not survived ({why})")
    terminalreporter.line(
        f"{len(survived)} survived of {NUM_FAULTS}: {' '.join(f'{n:02}' for n in survived)}"
    )
