"""Events as lines of JSON (schema ``phyt2v.event/1``), and back: one serializer for all of them.

Knows events and JSON; knows no file and no terminal.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from phyt2v_cli import events
from phyt2v_cli.events import Event
from phyt2v_cli.video_id import ControlId, RerenderId, RoundId, parse_video_id

SCHEMA = "phyt2v.event/1"

START, END = "start", "end"
"""Types of the first and of the last line of an attempt, which are no events of the loop."""

TYPES: Mapping[str, type[Any]] = {
    "analysis_done": events.AnalysisDone,
    "load_started": events.LoadStarted,
    "generator_ready": events.GeneratorReady,
    "round_started": events.RoundStarted,
    "step_done": events.StepDone,
    "latents_found": events.LatentsFound,
    "stage_started": events.StageStarted,
    "stage_done": events.StageDone,
    "candidate_done": events.CandidateDone,
    "round_done": events.RoundDone,
    "control_started": events.ControlStarted,
    "rerender_started": events.RerenderStarted,
    "notice": events.Notice,
}
"""Events by type. A type is never renamed or removed, since readers know it."""
_NAMES = {kind: name for name, kind in TYPES.items()}

MAX_LINE_CHARS = 4 * 2**20
"""Limit of a line that is read; a longer one is skipped."""


def type_of(event: Event) -> str:
    """Type of an event."""
    return _NAMES[type(event)]


def as_fields(event: Event) -> dict[str, object]:
    """Fields of an event as JSON values: ids of videos by name, paths as text."""
    return {field.name: _plain(getattr(event, field.name)) for field in fields(event)}


def line_of(kind: str, content: Mapping[str, object], **more: object) -> str:
    """Line of a type, with the present time; it ends with a line break."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"schema": SCHEMA, "time": now, "type": kind, **more, **content}) + "\n"


def parse_line(line: str) -> dict[str, Any] | None:
    """Parse a line to its object; None if it is torn, or no line of this schema."""
    if len(line) > MAX_LINE_CHARS:
        return None
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or parsed.get("schema") != SCHEMA:
        return None
    return parsed if isinstance(parsed.get("type"), str) and time_of(parsed) is not None else None


def time_of(parsed: Mapping[str, Any]) -> float | None:
    """Time of a parsed line, in s since 1970; None if it has none."""
    try:
        return datetime.fromisoformat(parsed["time"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def event_of(parsed: Mapping[str, Any]) -> Event | None:
    """Event of a parsed line; None if its type is unknown, as of a later phyt2v, or its fields are wrong."""
    kind = TYPES.get(parsed["type"])
    if kind is None:
        return None
    content: dict[str, Any] = {
        field.name: parsed[field.name] for field in fields(kind) if field.name in parsed
    }
    try:
        if isinstance(content.get("video"), str):
            content["video"] = parse_video_id(content["video"])
        event: Event = _adapter(parsed["type"]).validate_python(content)
    except ValueError:
        return None
    return event


@cache
def _adapter(name: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(TYPES[name])


ErrorFields = dict[Literal["code", "message", "hint"], str | None]


def end_content(data: Mapping[str, object] | None, error: ErrorFields | None) -> dict[str, object]:
    """Content of the line that ends a stream: what came of it, or its error, or both."""
    return {"ok": error is None, "data": data, "error": error}


def _plain(value: object) -> object:
    if isinstance(value, RoundId | ControlId | RerenderId):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
