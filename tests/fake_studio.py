"""A Studio whose roles are fakes, and a run that takes no time."""

from typing import Any

from phyt2v_cli import Studio
from phyt2v_cli.testing.fakes import FakeRoles

PROMPT = "a red ball drops"
QUICK: dict[str, Any] = {"min_steps": 3, "max_steps": 6, "rounds": 1}


def studio_of(fakes: FakeRoles, **settings: Any) -> Studio:
    return Studio(
        generator=fakes.generator,
        llm=fakes.llm,
        captioner=fakes.captioner,
        scorer=[fakes.scorer, *fakes.other_scorers],
        **{**QUICK, **settings},
    )
