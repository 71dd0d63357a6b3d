"""Reader of what a model or a program replies, for every role and every backend, and the one request to reply
again.

What leaves nothing to guess is accepted: reasoning before the answer, one fence around all of it, null for an
empty text, raw line breaks inside of JSON texts, more keys than were asked for. What leaves something to
guess (two objects, words around JSON, one key with two values) is unusable. This file knows no role, no
server and no question.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import AfterValidator, BaseModel, ValidationError

from phyt2v_cli.files.user_text import is_blank
from phyt2v_cli.roles import Message

MAX_ANSWER_CHARS = 100_000
"""Limit of an answer, reasoning before it not counted."""

_MAX_QUOTED_CHARS = 10_000
"""Limit of an unusable reply that is shown to the model again."""

_TAG = r"(?:think|thinking|thought|reasoning|seed:think)"
_REASONING = re.compile(
    rf"\s*(?:<({_TAG})>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z))", re.DOTALL | re.IGNORECASE
)
"""Block of reasoning; one without an end is all reasoning."""

_END_OF_REASONING = re.compile(
    rf"\s*[^\s{{`~].*?(?:</{_TAG}>|\[/THINK\])|\s*</{_TAG}>", re.DOTALL | re.IGNORECASE
)
"""Reasoning whose begin is missing, because the chat template writes that into the prompt. JSON and a fence
do not count: the tag may be a text in there."""

_CHANNELS = re.compile(
    r"\s*(?:<\|start\|>\w*)?<\|channel\|>.*<\|channel\|>final[^<]*<\|message\|>", re.DOTALL
)
"""Reasoning in channels before the final one, if a server leaves the marks of the chat template in."""

_END_MARK = re.compile(
    r"(?:</s>|<\|(?:im_end|eot_id|end|return|endoftext)\|>|<end_of_turn>|[\s\u200b-\u200d\ufeff])+\Z"
)
"""Marks for the end of a message that some servers leave in, and what shows nothing."""

_MAX_END_CHARS = 100
"""Characters at the end of a reply in which marks are looked for: a hostile one may consist of them."""

_FENCE = re.compile(
    r"(?P<fence>`{3,}|~{3,})[ \t]*(?:json\w*|[\w+-]*(?=\r?\n))(?P<inside>.*)(?P=fence)",
    re.DOTALL | re.IGNORECASE,
)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise ValueError("has control characters in it")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
"""Text on one line, with one space where there was white space."""


def filled(max_chars: int) -> AfterValidator:
    """Check that a text shows something, and has at most `max_chars` characters."""

    def check(text: str) -> str:
        if is_blank(text):
            raise ValueError("is empty")
        if len(text) > max_chars:
            raise ValueError(f"has {len(text)} characters, more than {max_chars}")
        return text

    return AfterValidator(check)


_Answer = TypeVar("_Answer")
_Model = TypeVar("_Model", bound=BaseModel)


class UnusableReplyError(Exception):
    """Reply without a usable answer; the message says why, in words that the model may read."""


@dataclass(frozen=True)
class Correction:
    """Continuation of a question whose reply was unusable."""

    why: str
    """Why it was."""
    messages: tuple[Message, Message]
    """The reply, and the request to reply again."""


def ask(send: Callable[[Correction | None], str], read: Callable[[str], _Answer]) -> _Answer:
    """Ask and read the reply; if it is unusable, ask again, once.

    `send` puts the question, with a correction the second time, and returns the reply. `read` raises
    UnusableReplyError if that is unusable. Raises it for the second reply, and whatever `send` raises.
    """
    reply = send(None)
    try:
        return read(reply)
    except UnusableReplyError as error:
        complaint = f"This reply cannot be used: {error}. Reply again, in the form that was asked for."
        # Servers refuse a message without text.
        said = Message("assistant", reply[:_MAX_QUOTED_CHARS] if reply.strip() else "(nothing)")
        correction = Correction(str(error), (said, Message("user", complaint)))
    return read(send(correction))


def read_text(reply: str) -> str:
    """Answer of a reply: its text without reasoning, and without a fence around all of it.

    Raises UnusableReplyError if nothing is left, or too much.
    """
    text = _without_reasoning(reply.removeprefix("\ufeff")).strip()
    text = text[:-_MAX_END_CHARS] + _END_MARK.sub("", text[-_MAX_END_CHARS:])
    if (fenced := _FENCE.fullmatch(text)) and fenced["fence"] not in fenced["inside"]:
        text = fenced["inside"].strip()
    if not text:
        raise UnusableReplyError("it holds reasoning and no answer" if reply.strip() else "it is empty")
    if len(text) > MAX_ANSWER_CHARS:
        raise UnusableReplyError(f"it has {len(text)} characters, more than {MAX_ANSWER_CHARS}")
    return text


def read_json(reply: str, model: type[_Model]) -> _Model:
    """Answer of a reply that is one JSON object, as `model`; raises UnusableReplyError if it is not."""
    text = read_text(reply)
    try:
        tree = json.loads(text, strict=False, object_pairs_hook=_unambiguous)  # not strict: raw line breaks
        if not isinstance(tree, dict):
            raise UnusableReplyError("it is JSON, but not one object")
        for name, field in model.model_fields.items():
            if name in tree and tree[name] is None:
                tree[name] = _empty(field.annotation)
        # As JSON again, because pydantic refuses half a character only there.
        return model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise UnusableReplyError(
            "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'reply'}: {fault['msg']}" for fault in faults)
        ) from error
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UnusableReplyError(f"it is not one JSON object without anything around it ({why})") from error


def _empty(kind: object) -> object:
    """Value that null stands for in a field of this type."""
    return "" if kind is str else [] if get_origin(kind) is list else None


def _without_reasoning(text: str) -> str:
    channels = _CHANNELS.match(text)
    end = channels.end() if channels else 0
    while end < len(text) and (block := _REASONING.match(text, end)):
        end = block.end()
    if block := _END_OF_REASONING.match(text, end):  # of all of it, or of a block that held another
        end = block.end()
    return text[end:]


def _unambiguous(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        known = tree.setdefault(key, value)
        if known is not value and known != value:
            raise ValueError(f"{key[:100]!r} has two values")
    return tree
