"""Display of a set: one line a finished prompt, and the time left of the whole."""

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phyt2v_cli.cli.progress import set as set_module
from phyt2v_cli.cli.progress.set import SetProgress
from phyt2v_cli.events import LoadStarted, RoundStarted, StageStarted, StepDone
from phyt2v_cli.roles import Scores
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.timing.set_meter import SetMeter
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import RoundId


def outcome(number: int) -> Any:
    job = SimpleNamespace(number=number, entry=SimpleNamespace(prompt="a ball\ndrops"))
    return SimpleNamespace(job=job, result=SimpleNamespace(scores=Scores(1.0, 0.5), video=Path("x")))


def test_off_a_terminal_a_line_every_few_seconds_says_what_is_done_and_the_sets_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_module, "SECONDS_BETWEEN_LINES", 0.05)

    def hear(line: str) -> None:
        said, deadline = "", time.monotonic() + 60
        while not re.search(line, said):
            assert time.monotonic() < deadline, said
            time.sleep(0.01)
            said += capsys.readouterr().err

    meter = SetMeter(
        [PlannedRound(1, 8, "final")], 2, expected=Speed(2.0, 2.0, load_s=3.0), clock=lambda: 0.0
    )
    assert meter.seconds_left() == 2 * 8 * 2.0 + 3.0
    with SetProgress(2, meter, lambda: None) as progress:
        progress.begin(1)
        hear("  0 of 2 prompts done, about 35.0 s left, 1 running; prompt 1: preparing\n")
        progress.hear(1, LoadStarted())
        hear("; prompt 1: loading the model\n")
        progress.hear(1, RoundStarted(RoundId(1), 1, 8, "final", "a ball"))
        progress.hear(1, StageStarted(RoundId(1), "caption"))
        hear("; prompt 1, round 1: captioning\n")
        progress.begin(2)
        progress.hear(2, StepDone(RoundId(1), 3, 8))
        hear("2 running; prompt 2, round 1: step 3 of 8\n")
        progress.end(outcome(1))
        hear("Prompt 1 of 2: SA 1.00, PC 0.50: a ball drops\n")
        hear("  1 of 2 prompts done, .* 1 running")
