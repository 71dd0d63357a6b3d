"""Journal of a run: which of its events become lines."""

import io
import json

import pytest

from phyt2v_cli.events import StepDone
from phyt2v_cli.runs.journal import run as journal_module
from phyt2v_cli.runs.journal.run import Host, RunJournal
from phyt2v_cli.runs.journal.stream import Stream
from phyt2v_cli.video_id import RoundId


def test_of_fast_steps_a_few_a_second_are_written_and_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, file = 0.0, io.StringIO()
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now)
    journal = RunJournal(Host(pytest.fail, streams=[Stream(file)]))
    for step in range(1, 51):
        now += 0.1
        journal(StepDone(RoundId(1), step, 50))
    written = [json.loads(line)["step"] for line in file.getvalue().splitlines()]
    assert len(written) <= 5.0 / 0.3 + 2
    assert (written[0], written[-1]) == (1, 50)
