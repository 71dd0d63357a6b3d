"""Lines of events: each event there and back, their types, and what readers skip."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from phyt2v_cli import events
from phyt2v_cli.events import Event
from phyt2v_cli.events.lines import (
    SCHEMA,
    TYPES,
    as_fields,
    end_content,
    event_of,
    line_of,
    parse_line,
    type_of,
)
from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import ControlId, RerenderId, RoundId

SCORES = Scores(0.5, None, ("it hovers",))
EVENTS: list[Event] = [
    events.AnalysisDone("a ball", "gravity"),
    events.LoadStarted(),
    events.GeneratorReady({"device": "cpu"}),
    events.RoundStarted(RoundId(2, "b"), 5, 27, "draft", "a ball\nfalls \u2028"),
    events.StepDone(ControlId(), 3, 27),
    events.LatentsFound(RoundId(1), Path("run/latents1.safetensors")),
    events.StageStarted(RoundId(1), "denoise"),
    events.StageDone(RoundId(1), "decode", 1.25),
    events.CandidateDone(RoundId(1, "c"), "draft", 2.0, SCORES),
    events.RoundDone(RoundId(1), "final", 3.0, SCORES, "it hovers", None, ("stilled",), {"tracker": SCORES}),
    events.ControlStarted(ControlId("blind"), 50),
    events.RerenderStarted(RerenderId(2), 50, "final"),
    events.Notice("odd", "Mend it."),
    events.PreviewMade(RoundId(2), 10, 27, Path("run/preview.png")),
]
WRITTEN = [
    *("analysis_done", "load_started", "generator_ready", "round_started", "step_done", "latents_found"),
    *("stage_started", "stage_done", "candidate_done", "round_done", "control_started", "rerender_started"),
    *("notice", "preview_made"),
]
"""Types that readers know: none of them may change or go."""


@pytest.mark.parametrize("event", EVENTS, ids=type_of)
def test_an_event_is_one_line_and_comes_back(event: Event) -> None:
    line = line_of(type_of(event), as_fields(event))
    assert line.count("\n") == 1
    assert line.isascii()
    parsed = parse_line(line)
    assert parsed is not None
    assert list(parsed)[:3] == ["schema", "time", "type"]
    assert event_of(parsed) == event


def test_each_event_has_a_type_which_is_written_down() -> None:
    assert set(TYPES.values()) == set(get_args(Event)) == {type(event) for event in EVENTS}
    assert list(TYPES)[: len(WRITTEN)] == WRITTEN
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rows = re.findall(
        r"^\| `([a-z_]+)` \|.*\|(.*)\|$", page.split("## Types")[1].split("\n## ")[0], re.MULTILINE
    )
    documented = {name: re.findall("`([a-z_]+)`", told) for name, told in rows}
    assert [*documented] == ["start", *TYPES, "end"]
    for name, kind in TYPES.items():
        assert set(documented[name]) == {field.name for field in fields(kind)}


@pytest.mark.parametrize(
    "line",
    [
        "",
        '{"schema": "phyt2v.event/1", "time": "2026-01-01T00:00:00Z", "ty',
        "[" * 100_000,
        "[1]",
        '{"schema": "phyt2v.event/2", "time": "2026-01-01T00:00:00Z", "type": "notice"}',
        '{"schema": "phyt2v.event/1", "time": "soon", "type": "notice"}',
        '{"schema": "phyt2v.event/1", "time": "2026-01-01T00:00:00Z", "type": ["notice"]}',
    ],
)
def test_what_is_no_whole_line_is_skipped(line: str) -> None:
    assert parse_line(line) is None


@pytest.mark.parametrize(
    "content",
    [
        {"type": "later"},
        {"type": "step_done", "video": "round1", "step": "3", "steps": 4},
        {"type": "step_done", "video": "round1", "step": 10**400, "steps": 4},
        {"type": "step_done", "video": "../x", "step": 1, "steps": 4},
        {"type": "stage_started", "video": "round1", "stage": "later"},
        {"type": "stage_done", "video": "round1", "stage": "decode", "seconds": float("nan")},
        {"type": "round_started", "video": "control", "total_rounds": 1, "steps": 1, "purpose": "final"},
    ],
    ids=str,
)
def test_an_event_with_other_fields_is_none(content: dict[str, object]) -> None:
    line = {"schema": SCHEMA, "time": "2026-01-01T00:00:00Z", **content}
    parsed = parse_line(json.dumps(line))
    assert parsed is not None
    assert event_of(parsed) is None


def test_the_end_has_data_or_an_error() -> None:
    assert end_content({"a": 1}, None) == {"ok": True, "data": {"a": 1}, "error": None}
    assert end_content(None, {"code": "usage", "message": "m", "hint": None})["ok"] is False
