"""What `refine --approve` shows before it asks."""

import io
import sys
from types import SimpleNamespace
from typing import cast

import pytest

from phyt2v_cli.cli import console, watch
from phyt2v_cli.cli.running.approval import ask
from phyt2v_cli.cli.signals import StopRequest
from phyt2v_cli.refinement.steering.review import Decision, Proposal
from phyt2v_cli.roles import Scores
from phyt2v_cli.schedule import plan_run
from tests.fake_runs import make_config


def test_an_unchanged_prompt_is_shown_in_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be that of a candidate, which the terminal has not shown before."""
    console.configure()
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n"))
    rewritten = "a red ball falls down"
    proposal = Proposal(1, 3, "a red ball drops", rewritten, rewritten, None, None, Scores(1.0, 0.5))
    stop = cast("StopRequest", SimpleNamespace(cancelled=lambda: False))
    config = make_config()
    with watch.watching(config, plan_run(config)) as listeners:
        assert ask(listeners, stop, proposal) == Decision(rewritten)
    assert f"next prompt, as before: {rewritten}" in capsys.readouterr().err
