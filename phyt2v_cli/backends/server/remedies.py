"""Errors for requests that failed: who failed, what it said, which setting fixes it.

One table from status, words of the body and request to a sentence and a hint; its first row that fits counts.
No row goes by one word alone, since errors may mention anything. This file must not know connections, retries
or the protocol.
"""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass

from phyt2v_cli.backends.server.answers import Failure
from phyt2v_cli.errors import BackendError
from phyt2v_cli.quantities import count


@dataclass(frozen=True)
class Asked:
    """Request that failed, as far as remedies depend on it."""

    who: str
    """Role, model and address, in words."""
    key: str
    """Section of the config, as in `llm` or `scorer.others[0]`."""
    model: str
    key_variable: str
    has_key: bool
    num_pictures: int = 0
    max_tokens: int = 0
    """Tokens of the answer; 0 if a video was asked for."""
    ambient: str = ""
    """Sentence about proxies and certificates of the environment that are at work."""


@dataclass(frozen=True)
class Remedy:
    """Row of the table: when it fits, and what is said then."""

    statuses: Container[int]
    sentence: str
    hint: str
    words: re.Pattern[str] | None = None
    """Searched in the body, in lower case and without the model's name; None: any body."""
    fits: Callable[[Asked], bool] = lambda _: True
    is_lasting: bool = False
    """Whether no retry helps, even if the status says so."""


_PICTURES = r"(?:images?|image_url|vision|visual|pictures?|frames?|multi-?modal)"
_MANY = re.compile(
    r"\b(?:only|at most|up to|limit(?:ed)? (?:to|of)|max(?:imum)?(?: of)?)\W{1,3}(?:\d+|one|a single)\W"
    rf".{{0,20}}\b{_PICTURES}|\btoo many {_PICTURES}"
    rf"|\b{_PICTURES}\b.{{0,60}}\b(?:at most|limit|exceeds?|maximum|more than)\b\D{{0,20}}\d"
)
_LARGE = re.compile(rf"\b{_PICTURES}\b.{{0,40}}\b(?:too (?:large|big)|dimensions?|resolution|pixels)\b")
_BLIND = re.compile(
    rf"\b{_PICTURES}\b.{{0,60}}(?:\bnot|n't|\bonly|\bun)\W?(?:be )?(?:currently )?"
    r"(?:support|allow|accept|enabled)"
    r"|\b(?:not|n't|no|without|lacks)"
    rf"(?: (?:an?|any|the|endpoints|found|that|support\w*|accept\w*|take|have))* {_PICTURES}"
    r"|mmproj|\btext-only\b|unknown variant .?image|invalid content type"
    r"|(?:content|message)\S*\W.{0,60}\b(?:valid|be a|expected a?) ?str(?:ing)?\b"
)
_SMALL = re.compile(
    r"context (?:length|window|size|of \d)|maximum context|max_model_len|max_(?:completion_|new_)?tokens"
    r"|too many tokens"
    r"|\b(?:prompt|input|request|messages?) (?:is|are|has|exceeds?)\b.{0,40}(?:too long|tokens)"
)
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,80}\b(?:not (?:found|exist|available)|unknown|n[o']t exist"
    r"|(?:no|n't|not) (?:have )?access)"
    r"|\b(?:unknown|invalid|no such) model\b"
)
_NO_CREDIT = re.compile(
    "insufficient_quota|insufficient (?:credit|balance|funds)|exceeded your current quota"
)
_TEMPERATURE = re.compile(r"\btemperature\b.{0,80}(?:support|default|less|greater|range|between|must)")

_OF_REQUEST = {400, 404, 413, 415, 422, 500, 501}
"""Status of errors about the request; many servers say 500."""


def _shows_pictures(asked: Asked) -> bool:
    return asked.num_pictures > 0


def _wants_a_video(asked: Asked) -> bool:
    return not asked.max_tokens


_CONNECTION = Remedy(
    (),
    "{who} gave no answer{tried}: {detail}.",
    "Is the server running, and is `{key}.base_url` right? {ambient}",
)
_FOREIGN = Remedy(
    (),
    "{who} is not OpenAI-compatible: it answered with {detail!r}.",
    "Check `{key}.base_url`; it usually ends in /v1.",
)
_TABLE = (
    Remedy(
        range(300, 400),
        "{who} redirects to another address ({said}), and no key is taken along.",
        "Set `{key}.base_url` to where the server is.",
    ),
    Remedy(
        (400, 403, 429),
        "{who} is not paid for ({said}).",
        "Fill the account up, or name another endpoint with `{key}.base_url` and `{key}.api_key_env`.",
        _NO_CREDIT,
        is_lasting=True,
    ),
    Remedy(
        (402,),
        "{who} is not paid for ({said}).",
        "Fill the account up, or name another endpoint with `{key}.base_url` and `{key}.api_key_env`.",
    ),
    Remedy(
        _OF_REQUEST,
        "{who} does not take pictures of this size ({said}).",
        "Lower `{key}.max_frame_size`.",
        _LARGE,
        _shows_pictures,
        is_lasting=True,
    ),
    Remedy(
        _OF_REQUEST,
        "{who} does not take {pictures} at once ({said}).",
        "Lower `{key}.num_frames`.",
        _MANY,
        _shows_pictures,
        is_lasting=True,
    ),
    Remedy(
        _OF_REQUEST,
        "{who} does not take pictures ({said}).",
        "Set `{key}.model` to a model that sees.",
        _BLIND,
        _shows_pictures,
        is_lasting=True,
    ),
    Remedy(
        _OF_REQUEST,
        "{who} has too small a context for {pictures} and an answer of {tokens} ({said}).",
        "Lower `{key}.num_frames`, `{key}.max_frame_size` or `{key}.max_tokens`.",
        _SMALL,
        _shows_pictures,
        is_lasting=True,
    ),
    Remedy(
        _OF_REQUEST,
        "{who} has too small a context for the prompt and an answer of {tokens} ({said}).",
        "Lower `{key}.max_tokens`, or name a model with a longer context with `{key}.model`.",
        _SMALL,
        lambda asked: not _wants_a_video(asked),
        is_lasting=True,
    ),
    Remedy(
        (413,),
        "{who} takes no request of this size, with {pictures} ({said}).",
        "Lower `{key}.num_frames` or `{key}.max_frame_size`, or raise the limit of the server or its proxy.",
        fits=_shows_pictures,
    ),
    Remedy(
        (413,),
        "{who} takes no request of this size ({said}).",
        "Shorten the prompt, or raise the limit of the server or its proxy at `{key}.base_url`.",
    ),
    Remedy(
        (400, 403, 404, 422),
        "{who} is not there ({said}).",
        "Check `{key}.model`, `{key}.api_key_env`, which may not be allowed to use it, and `{key}.base_url`, "
        "which usually ends in /v1.",
        _NO_MODEL,
    ),
    Remedy(
        (401, 403),
        "{who} refuses the key in the environment variable {key_variable} ({said}).",
        "Set it to a key for this endpoint, or name another variable with `{key}.api_key_env`.",
        fits=lambda asked: asked.has_key,
    ),
    Remedy(
        (401, 403),
        "{who} wants a key, and none is set in the environment variable {key_variable} ({said}).",
        "Set it to a key for this endpoint, or name another variable with `{key}.api_key_env`.",
    ),
    Remedy(
        (404, 405),
        "{who} is not there ({said}).",
        "Check `{key}.model`, and `{key}.base_url`, which usually ends in /v1.",
    ),
    Remedy(
        (400, 422),
        "{who} does not take the temperature ({said}).",
        "Leave `{key}.temperature` out, or change it.",
        _TEMPERATURE,
    ),
    Remedy(
        (408, 409, 429, *range(500, 600)),
        "{who} gave no answer{tried}; it said {said}.",
        "Try again later, or name another endpoint with `{key}.base_url`.",
    ),
    Remedy(
        range(1000),
        "{who} rejects the request ({said}).",
        "Change the setting that it names (`generator.num_frames`, `generator.height`, "
        "`generator.guidance_scale`, …), or check `{key}.model` and `{key}.base_url`.",
        fits=_wants_a_video,
    ),
    Remedy(
        range(1000),
        "{who} rejects the request ({said}).",
        "Check `{key}.model` and `{key}.base_url`; the request is also made of `{key}.max_tokens` and "
        "`{key}.temperature`.",
    ),
)


def may_pass(failure: Failure, asked: Asked) -> bool:
    """Check if a retry of the same request may bring an answer."""
    return failure.may_pass and not _find(failure, asked).is_lasting


def explain(failure: Failure, asked: Asked, *, attempts: int) -> BackendError:
    """Error for a request that failed `attempts` times, the last time with `failure`."""
    remedy = _find(failure, asked)
    words = {
        **vars(asked),
        "pictures": count(asked.num_pictures, "picture"),
        "tokens": count(asked.max_tokens, "token"),
        "detail": failure.detail,
        "said": f"{failure.status}: {failure.detail}",
        "tried": f" after {attempts} attempts" if attempts > 1 else "",
    }
    return BackendError(remedy.sentence.format(**words), remedy.hint.format(**words).rstrip())


def _find(failure: Failure, asked: Asked) -> Remedy:
    if failure.kind != "status":
        return _CONNECTION if failure.kind == "connection" else _FOREIGN
    # Without the model's name, because it may contain "vision"; as a whole word, because a short name may be
    # part of another word.
    said = re.sub(rf"(?<!\w){re.escape(asked.model.casefold())}(?!\w)", "", failure.said)
    return next(
        remedy
        for remedy in _TABLE
        if failure.status in remedy.statuses
        and (remedy.words is None or remedy.words.search(said))
        and remedy.fits(asked)
    )
