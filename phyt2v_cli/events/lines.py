"""Events as lines of JSON (schema ``phyt2v.event/1``), and back: one serializer for all of them.

Knows events and JSON; knows no file and no terminal.
"""

import json
from collections import abc
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from phyt2v_cli import events
from phyt2v_cli.events import Event
from phyt2v_cli.roles import Scores
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
    "preview_made": events.PreviewMade,
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
    line = {"schema": SCHEMA, "time": now, "type": kind, **more, **content}
    return json.dumps(line, default=str) + "\n"  # a role of the user's may have given anything


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
    try:
        event: Event = kind(
            **{
                name: _read(parsed[name], hint)
                for name, hint in _hints(parsed["type"]).items()
                if name in parsed
            }
        )
    except (TypeError, ValueError):
        return None
    return event


@cache
def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(TYPES[name])


def _read(value: Any, hint: Any) -> Any:
    """Value of a field of type `hint` from its JSON value; raises ValueError if it has another type."""
    origin, options = get_origin(hint), get_args(hint)
    if hint is int and type(value) is int and abs(value) <= _MAX_INT:
        return value
    if hint is float and type(value) in (int, float) and isfinite(value):
        return float(value)
    if hint is str and isinstance(value, str):
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is Scores and isinstance(value, dict):
        sa, pc = (_read(value.get(name), float | None) for name in _OF_SCORES)
        return Scores(sa, pc, _read(value.get("reasons", []), tuple[str, ...]))
    if hint in (RoundId, ControlId, RerenderId) and isinstance(value, str):
        id = parse_video_id(value)
        if isinstance(id, hint):
            return id
    if origin is Literal and value in options:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_read(item, options[0]) for item in value)
    if origin is abc.Mapping and isinstance(value, dict):
        return {key: _read(item, options[1]) for key, item in value.items()}
    if origin in (Union, UnionType):
        if value is None and NoneType in options:
            return None
        for option in options:
            with suppress(ValueError):
                return _read(value, option)
    raise ValueError(f"{value!r:.40} is of another type")


_OF_SCORES = ("semantic_adherence", "physical_commonsense")
_MAX_INT = 2**53


ErrorFields = dict[Literal["code", "message", "hint"], str | None]


def end_content(data: Mapping[str, object] | None, error: ErrorFields | None) -> dict[str, object]:
    """Content of the line that ends a stream: its result, or its error, or both."""
    return {"ok": error is None, "data": data, "error": error}


def _plain(value: object) -> object:
    if isinstance(value, RoundId | ControlId | RerenderId):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Scores):  # why a scorer abstained is in the reasons
        return {**{name: getattr(value, name) for name in _OF_SCORES}, "reasons": list(value.reasons)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
