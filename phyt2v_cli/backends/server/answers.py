"""Parsing of an endpoint's responses, without trust, into an `Answer` or a `Failure`.

Endpoints that claim to be compatible differ most in the fields that they leave out and in their errors. So
only the fields in use are read, and an error may have any shape. This file must not know clients, roles or
retries.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError
from pydantic_core import from_json

_MAX_DETAIL_CHARS = 300
_RETRIED = {408, 409, 429}


@dataclass(frozen=True)
class Answer:
    """Chat completion of the right shape; it may be empty, a refusal or cut off."""

    text: str
    refusal: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    first_token: str = ""
    """First token that is not white space; empty if the endpoint gave no logprobs."""
    logprobs: Mapping[str, float] = field(default_factory=dict)
    """Natural logarithms of the likeliest tokens at that position, by token text."""

    @property
    def is_cut_off(self) -> bool:
        """Whether the token limit cut the answer; False with logprobs, since the first token is enough."""
        return self.finish_reason == "length" and not self.logprobs


@dataclass(frozen=True)
class Failure:
    """Reason why one attempt brought no answer."""

    kind: Literal["connection", "status", "foreign"]
    """`connection`: no complete response. `status`: an error reported by the endpoint. `foreign`: a response
    outside of OpenAI's protocol."""
    detail: str
    """One short line for the user."""
    status: int = 0
    said: str = ""
    """The whole body in lower case, searched for names of parameters."""
    retry_after_s: float | None = None
    was_sent: bool = True
    """Whether the server may have got the request."""

    @property
    def may_pass(self) -> bool:
        """Whether a retry may bring an answer, as far as the status tells."""
        if self.kind == "status":
            return self.status in _RETRIED or self.status >= 500
        return self.kind == "connection"


class _TopToken(BaseModel):
    token: str
    logprob: float


class _Token(BaseModel):
    token: str
    top_logprobs: list[_TopToken]


class _Logprobs(BaseModel):
    content: list[_Token]


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


_TEXT_PARTS = ("text", "output_text")


class _Message(BaseModel):
    content: JsonValue = None
    """A text, or a list of parts."""
    refusal: str | None = None
    reasoning_content: JsonValue = None
    reasoning: JsonValue = None

    @property
    def text(self) -> str:
        """Answer. Some servers take a model's whole answer for reasoning, and leave the content empty."""
        fields = (self.content, self.reasoning_content, self.reasoning)
        return next(filter(str.strip, map(_text_in, fields)), "")


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: JsonValue = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: JsonValue = None


def read_answer(body: str, content_type: str) -> Answer | Failure:
    """Parse a response whose status is success; a Failure if it is no chat completion."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError:
        return explain_foreign(body, content_type, "chat completion")
    choice = completion.choices[0]
    usage, token = _read_usage(completion.usage), _read_first_token(choice.logprobs)
    return Answer(
        text=choice.message.text,
        refusal=choice.message.refusal or "",
        finish_reason=choice.finish_reason or "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        first_token=token.token if token else "",
        logprobs={top.token: top.logprob for top in token.top_logprobs} if token else {},
    )


def read_rejection(status: int, headers: Mapping[str, str], body: str) -> Failure:
    """Parse a response whose status is an error or a redirect."""
    detail = headers.get("location", "") if 300 <= status < 400 else _detail_in(body)
    return Failure("status", one_line(detail), status, body.casefold(), _retry_after_s(headers))


def explain_foreign(body: str, content_type: str, wanted: str) -> Failure:
    """Failure for a body that is no `wanted`, though its status is success."""
    try:
        tree = from_json(body)
    except ValueError as error:
        if "json" in content_type and body.lstrip().startswith("{"):
            is_cut = str(error).startswith("EOF")
            return Failure(
                "connection", "its answer breaks off" if is_cut else f"its answer is no JSON: {error}"
            )
        return Failure("foreign", one_line(_detail_in(body)))
    if isinstance(tree, dict) and tree.get("error"):  # gateways pass errors on like this
        code = tree["error"].get("code") if isinstance(tree["error"], dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 400
        return Failure("status", one_line(_detail_in(body)), status, body.casefold())
    return Failure("foreign", f"JSON that is no {wanted}")


def _text_in(content: JsonValue) -> str:
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
        return "".join(str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else ""


def _read_usage(usage: JsonValue) -> _Usage:
    try:
        return _Usage.model_validate(usage)
    except ValidationError:
        return _Usage()


def _read_first_token(logprobs: JsonValue) -> _Token | None:
    try:
        tokens = _Logprobs.model_validate(logprobs).content
    except ValidationError:
        return None
    return next((token for token in tokens if token.token.strip()), None)


def _detail_in(body: str) -> str:
    try:
        return message_in(from_json(body)) or body
    except ValueError:
        is_page = body.lstrip()[:15].casefold().startswith(("<!doctype html", "<html"))
        return "an HTML page" if is_page else body or "an empty body"


def message_in(tree: object) -> str:
    """Message of an error of any shape; empty if there is none."""
    if isinstance(tree, str):
        return tree
    if isinstance(tree, list):
        return "; ".join(filter(None, map(message_in, tree)))
    if isinstance(tree, dict):
        for key in ("error", "message", "detail", "msg"):
            if message := message_in(tree.get(key)):
                place = tree.get("loc")
                return f"{'.'.join(map(str, place))}: {message}" if isinstance(place, list) else message
    return ""


def one_line(text: str) -> str:
    """First part of a text that a server sent, as one short line without a stop."""
    line = " ".join(text[: 10 * _MAX_DETAIL_CHARS].split()).rstrip(".")
    return line if len(line) <= _MAX_DETAIL_CHARS else line[: _MAX_DETAIL_CHARS - 1] + "…"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        return max(parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None
