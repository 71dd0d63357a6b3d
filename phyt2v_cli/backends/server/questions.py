"""Request of one question in the protocol's form, and what to ask instead if an endpoint cannot take it.

Endpoints differ in what they support, and say so in errors of any wording. A request is adapted only in ways
that keep its meaning, and a wrong guess costs one request: what did not help is not remembered. This file
must not know connections, keys or retries.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from phyt2v_cli.backends.server.answers import Failure
from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.roles import Message, without_system

_NUM_LOGPROBS = 20
"""Largest `top_logprobs` that the protocol allows."""

_NOT_STRICT = {"title", "default", "minLength", "maxLength"}
"""JSON Schema keywords that strict mode rejects or that blow up grammars; replies are validated anyway."""

_ADAPTED = {400, 403, 404, 413, 415, 422, 500, 501}
"""Status of errors that may complain of one parameter. Gateways use 403 and 404 too."""

_NAMES_A_FORMAT = re.compile("response_format|json_schema|json_object|structured|grammar|schema")
_NAMES_SYSTEM = re.compile(
    r"system\W{0,3}(?:role|message|prompt|instruction)|role\b.{0,40}\bsystem\b|developer instruction"
    r"|roles must alternate|only user and assistant"
)

_MIN_ROOM = 64
"""Fewest tokens that an answer is tried with."""

_LARGEST_ANSWER = re.compile(
    r"at most (\d+) (?:completion|output|new) tokens|> (\d+), which is the max"
    r"|max_\w*tokens\W.{0,60}less than or equal to\W{0,3}(\d+)|range of \W?max_\w*tokens\D{0,12}\d+\W+(\d+)"
)
_CONTEXT = re.compile(r"context(?: (?:length|window|size|is|of))*\W+(?:\w+ )?(\d+)|must be <= (\d+)")
_USED = re.compile(
    r"(\d+) (?:input tokens|prompt tokens|\W?inputs\W? tokens)"
    r"|(\d+) (?:tokens )?in (?:the|your) (?:messages|prompt)\b|resulted in (\d+) tokens"
)

Part = Mapping[str, Any]
"""Part of a message's content, in the protocol: a text or a picture."""


@dataclass(frozen=True)
class Traits:
    """Optional parameters that an endpoint and its model support."""

    format: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """Way to get JSON, the most binding first; `prompt` leaves it to the wording of the prompt."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    gives_logprobs: bool = True
    takes_system: bool = True
    """Whether a system message may be sent; if not, its text goes into the user's message."""


@dataclass(frozen=True)
class Question:
    """Request before it is adapted to the endpoint's traits."""

    messages: Sequence[Message]
    pictures: Sequence[Part]
    schema: Mapping[str, object] | None
    wants_logprobs: bool
    max_tokens: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the body, beside those that are set here or by the config."""

    @property
    def has_system(self) -> bool:
        """Whether it begins with a system message."""
        return self.messages[0].role == "system"


def body_of(config: ServiceConfig, question: Question, traits: Traits) -> dict[str, Any]:
    """Body of the request, as the endpoint with these traits takes it."""
    messages = question.messages if traits.takes_system else without_system(question.messages)
    shown_in = next(number for number, message in enumerate(messages) if message.role != "system")
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [
            {
                "role": message.role,
                "content": _content(message.content, question.pictures if number == shown_in else ()),
            }
            for number, message in enumerate(messages)
        ],
        traits.limit_name: question.max_tokens,
    }
    if config.temperature is not None:
        body["temperature"] = config.temperature
    if question.wants_logprobs and traits.gives_logprobs:
        body |= {"logprobs": True, "top_logprobs": _NUM_LOGPROBS}
    if question.schema is not None and traits.format != "prompt":
        schema = _strict(question.schema)
        if traits.format == "json_schema":
            wanted: dict[str, Any] = {"json_schema": {"name": "reply", "strict": True, "schema": schema}}
        else:
            wanted = {"schema": schema}  # an extension of llama.cpp, harmless elsewhere
        body["response_format"] = {"type": traits.format, **wanted}
    if further := {name: value for name, value in question.extra.items() if name not in body}:
        body["extra_body"] = further  # the SDK puts them beside the others
    return body


def _content(text: str, pictures: Sequence[Part]) -> str | list[Part]:
    # A plain text where there are no pictures, because not every server takes parts.
    return [*pictures, {"type": "text", "text": text}] if pictures else text


def adapt(question: Question, traits: Traits, failure: Failure) -> tuple[Question, Traits] | None:
    """Question and traits to try after a failure that one parameter explains; None if none explains it."""
    said = failure.said
    if failure.status not in _ADAPTED or said.lstrip().startswith("<"):  # a page says nothing of parameters
        return None
    room = room_for_answer(said)
    if room is not None and _MIN_ROOM <= room < question.max_tokens:
        return replace(question, max_tokens=room), traits
    if traits.limit_name == "max_tokens" and "max_completion_tokens" in said:
        return question, replace(traits, limit_name="max_completion_tokens")
    if question.wants_logprobs and traits.gives_logprobs and "logprob" in said:
        return question, replace(traits, gives_logprobs=False)
    if question.schema is not None and traits.format != "prompt" and _NAMES_A_FORMAT.search(said):
        lesser: Literal["json_object", "prompt"] = (
            "json_object" if traits.format == "json_schema" else "prompt"
        )
        return question, replace(traits, format=lesser)
    if question.has_system and traits.takes_system and _NAMES_SYSTEM.search(said):
        return question, replace(traits, takes_system=False)
    return None


def room_for_answer(said: str) -> int | None:
    """Tokens that an answer may have, if an error in lower case says so; None if it does not.

    An error that names only the context leaves open how much of it is used, so that half is assumed.
    """
    said = re.sub(r"(?<=\d),(?=\d{3})", "", said)
    largest, context, used = (_number(pattern, said) for pattern in (_LARGEST_ANSWER, _CONTEXT, _USED))
    if largest is not None:
        return largest
    if context is None:
        return None
    return context // 2 if used is None else context - used


def _number(pattern: re.Pattern[str], said: str) -> int | None:
    found = pattern.search(said)
    return int(next(filter(None, found.groups()))[:9]) if found else None


def _strict(schema: Mapping[str, object]) -> dict[str, object]:
    """Convert a JSON Schema for strict mode: every property required, and no others allowed."""
    kept = {key: value for key, value in schema.items() if key not in _NOT_STRICT}
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        kept["properties"] = {name: _strict(value) for name, value in properties.items()}
        kept |= {"required": list(properties), "additionalProperties": False}
    return kept
