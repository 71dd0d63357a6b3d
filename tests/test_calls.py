"""Single calls from Python on a run that is there, with objects as its roles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import phyt2v_cli
from phyt2v_cli.errors import RunDirError, RunPausedError, UsageError
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeChat, FakeGenerator, FakeScorer
from tests.fake_studio import PROMPT, QUICK

OWN = "a red ball falls, as I want it"


def objects() -> dict[str, Any]:
    """New objects of the same classes, as another process makes them."""
    return {
        "generator": FakeGenerator(),
        "llm": FakeChat(),
        "captioner": FakeCaptioner(),
        "scorer": [FakeScorer(), FakeScorer(name="second")],
    }


@pytest.fixture
def paused(tmp_path: Path) -> Path:
    with pytest.raises(RunPausedError):
        phyt2v_cli.refine(PROMPT, out=tmp_path / "run", stop_after="rewrite", **objects(), **QUICK)
    return tmp_path / "run"


def test_a_run_is_resumed_extended_and_rendered_again_with_the_objects_it_began_with(paused: Path) -> None:
    assert phyt2v_cli.resume(paused, prompt=OWN, **objects()).prompt == OWN
    assert len(phyt2v_cli.extend(paused, 1, **objects()).rounds) == 3
    assert phyt2v_cli.rerender(paused, 1, **objects()).video == paused / "rerender1.mp4"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"llm": None}, "llm: object: phyt2v_cli.testing.fakes.FakeChat -> none"),
        ({"captioner": FakeChat()}, "FakeCaptioner -> object: phyt2v_cli.testing.fakes.FakeChat"),
        ({"scorer": FakeScorer()}, "FakeScorer, phyt2v_cli.testing.fakes.FakeScorer -> object: "),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "call",
    [phyt2v_cli.resume, lambda path, **roles: phyt2v_cli.extend(path, 1, **roles)],
    ids=["resume", "extend"],
)
def test_other_objects_than_those_are_refused_by_name(
    call: Callable[..., object], change: dict[str, Any], line: str, paused: Path
) -> None:
    roles = {name: role for name, role in (objects() | change).items() if role is not None}
    with pytest.raises(RunDirError, match="other Python objects as its roles") as refused:
        call(paused, **roles)
    assert line in refused.value.message
    assert len(refused.value.message.splitlines()) == 2, "of the roles only the one that differs"


def test_a_run_does_not_ignore_where_it_shall_stop(paused: Path) -> None:
    with pytest.raises(UsageError, match="stop_after: 'lunch' does not fit"):
        phyt2v_cli.resume(paused, stop_after="lunch", **objects())  # type: ignore[arg-type]
    assert not (paused / "output2.mp4").exists()
