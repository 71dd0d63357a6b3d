"""Client of one endpoint that speaks OpenAI's chat completions, with retries and a deadline.

This is the only retry layer and the only deadline of these backends; the SDK's own are off. Parameters that
an endpoint turned out not to support are remembered until the process ends. This file must not know tasks,
videos or the wording of questions.
"""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

from phyt2v_cli.backends import network
from phyt2v_cli.backends.redaction import redact
from phyt2v_cli.backends.server import event_loop
from phyt2v_cli.backends.server.answers import Answer, Failure, read_answer, read_rejection
from phyt2v_cli.backends.server.endpoint import Endpoint, Role
from phyt2v_cli.config.schema import ServiceConfig
from phyt2v_cli.roles import Message, without_system

_CONNECT_TIMEOUT_S = 10.0
_SENT_HEADERS = frozenset(
    {
        "authorization",
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "x-stainless-raw-response",  # the SDK reads its own header to tell how the response is wanted
    }
)
_VENDOR_HEADERS = frozenset({"openai-organization", "openai-project"})
"""Headers that only the vendor's own server gets; the SDK reads them from the environment."""
_MAX_BACKOFF_S = 30.0
_NUM_LOGPROBS = 20
"""Largest `top_logprobs` that the protocol allows."""

_NAMES_A_FORMAT = re.compile("response_format|json_schema|json_object|structured|grammar|schema")
_NOT_STRICT = {"title", "default", "minLength", "maxLength"}
"""JSON Schema keywords that strict mode rejects or that blow up grammars; replies are validated anyway."""

Part = Mapping[str, Any]
"""Part of a message's content, in the protocol: a text or a picture."""


@dataclass(frozen=True)
class _Traits:
    """Optional parameters that an endpoint and its model support."""

    format: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """Way to get JSON, the most binding first; `prompt` leaves it to the wording of the prompt."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    gives_logprobs: bool = True
    takes_system: bool = True
    """Whether a system message may be sent; if not, its text goes into the user's message."""


_known_traits: dict[tuple[str, str], _Traits] = {}
"""Cache by base URL and model. Traits are stored only after they brought an answer."""


@dataclass(frozen=True)
class _Question:
    """Request before it is adapted to the endpoint's traits."""

    messages: Sequence[Message]
    pictures: Sequence[Part]
    schema: Mapping[str, object] | None
    wants_logprobs: bool
    max_tokens: int


class OpenAIClient:
    """Client of one model at one endpoint. Thread-safe: it keeps no connection between requests."""

    def __init__(self, config: ServiceConfig, role: Role, *, backoff_s: float = 0.5) -> None:
        """Set the endpoint of `role`; nothing is sent yet.

        `backoff_s` is the longest wait before the first retry, in seconds; it doubles with each retry.
        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._endpoint = Endpoint.of(config, role)
        self._backoff_s = backoff_s

    def __str__(self) -> str:
        return str(self._endpoint)

    @property
    def gives_logprobs(self) -> bool:
        """Whether the endpoint may give logprobs; False once it has ignored or rejected the parameter."""
        return self._traits.gives_logprobs

    def complete(
        self,
        messages: Sequence[Message],
        *,
        pictures: Sequence[Part] = (),
        schema: Mapping[str, object] | None = None,
        wants_logprobs: bool = False,
    ) -> Answer:
        """Ask as `ask` does, and accept only a complete answer.

        Raises RefusalError for a refusal, ReplyError for an answer that is cut off twice, and what `ask`
        raises.
        """
        return self.check(self.ask(messages, pictures=pictures, schema=schema, wants_logprobs=wants_logprobs))

    def check(self, answer: Answer) -> Answer:
        """Check that an answer is complete, and return it.

        Raises RefusalError for a refusal, and ReplyError for an answer that is cut off.
        """
        return self._endpoint.check(answer)

    def ask(
        self,
        messages: Sequence[Message],
        *,
        pictures: Sequence[Part] = (),
        schema: Mapping[str, object] | None = None,
        wants_logprobs: bool = False,
    ) -> Answer:
        """Ask the model, with retries; the answer may be a refusal, empty or cut off.

        An answer that is cut off is asked for once more with twice the tokens; the tokens of both are
        counted. `pictures` are shown before the text of the first message. `schema` is the JSON Schema of the
        reply. The messages must describe it too, for endpoints that cannot enforce it. With `wants_logprobs`
        only the answer's first token matters, so a cut is no fault. Raises BackendError if the endpoint
        rejects the request, lacks a key, or gives no answer within the config's `timeout_s` (retries
        included), and ReplyError if it cannot give twice the tokens.
        """
        question = _Question(messages, pictures, schema, wants_logprobs, self._config.max_tokens)
        attempts = _Attempts(self._config, self._endpoint, self._backoff_s, self._traits)
        # In an event loop, because the timeout of a blocking socket starts anew with every byte of a slow
        # server; only a cancelled task ends in time.
        answer = event_loop.wait_for(attempts.answer(question))
        _known_traits[self._endpoint.url, self._endpoint.model] = attempts.traits
        return answer

    @property
    def _traits(self) -> _Traits:
        return _known_traits.get((self._endpoint.url, self._endpoint.model), _Traits())


class _Attempts:
    """Attempts at one answer, all under one deadline."""

    def __init__(self, config: ServiceConfig, endpoint: Endpoint, backoff_s: float, traits: _Traits) -> None:
        self.traits = traits
        self._config = config
        self._endpoint = endpoint
        self._backoff_s = backoff_s
        self._key = endpoint.read_key()
        self._last: Failure | None = None

    async def answer(self, question: _Question) -> Answer:
        try:
            async with asyncio.timeout(self._config.timeout_s) as limit, self._connect() as sdk:
                deadline = limit.when() or 0.0
                answer = await self._ask(sdk, question, deadline)
                if answer.is_cut_off:
                    larger = replace(question, max_tokens=2 * question.max_tokens)
                    whole = await self._ask(sdk, larger, deadline)
                    answer = replace(
                        whole,
                        prompt_tokens=answer.prompt_tokens + whole.prompt_tokens,
                        completion_tokens=answer.completion_tokens + whole.completion_tokens,
                    )
        except TimeoutError:
            raise self._endpoint.explain_timeout(self._last) from None
        return answer

    def _connect(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._endpoint.url,
            max_retries=0,
            timeout=Timeout(None, connect=_CONNECT_TIMEOUT_S),
            http_client=DefaultAsyncHttpxClient(
                follow_redirects=False,  # a redirect would send the key on
                trust_env=not network.is_loopback(self._endpoint.url),  # proxies lead away from this machine
                event_hooks={"request": [self._send_only_what_is_named]},
            ),
        )

    async def _send_only_what_is_named(self, request: Any) -> None:
        """Drop the headers that the SDK takes from the environment, which may hold another key.

        Done as the request leaves, because the SDK knows more variables with each version.
        """
        sent = _SENT_HEADERS | _VENDOR_HEADERS if self._endpoint.is_vendors else _SENT_HEADERS
        for name in set(request.headers) - sent:
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {self._key or 'none'}"

    async def _ask(self, sdk: AsyncOpenAI, question: _Question, deadline: float) -> Answer:
        num_failed = 0
        while True:
            outcome = await self._send(sdk, _body(self._config, question, self.traits))
            if isinstance(outcome, Answer):
                if question.wants_logprobs and outcome.text and not outcome.logprobs:
                    self.traits = replace(self.traits, gives_logprobs=False)
                return outcome
            self._last = outcome
            lesser = _ask_for_less(question, self.traits, outcome)
            if lesser is not None:
                self.traits = lesser
                continue
            num_failed += 1
            lasting = not outcome.may_pass or (bool(question.pictures) and self._endpoint.cannot_see(outcome))
            if lasting or num_failed > self._config.max_retries:
                if question.max_tokens > self._config.max_tokens and outcome.status in (400, 422):
                    raise self._endpoint.explain_cut()  # it cannot give twice as much
                raise self._endpoint.explain(
                    outcome,
                    attempts=num_failed,
                    has_key=bool(self._key),
                    has_pictures=bool(question.pictures),
                )
            # Full jitter, so that runs that failed together do not retry together. SystemRandom, because the
            # host may have seeded `random` alike in several processes.
            spread_s = min(self._backoff_s * 2 ** (num_failed - 1), _MAX_BACKOFF_S)
            delay_s = (outcome.retry_after_s or 0.0) + random.SystemRandom().uniform(0, spread_s)
            if asyncio.get_running_loop().time() + delay_s >= deadline:
                raise self._endpoint.explain_timeout(outcome)
            await asyncio.sleep(delay_s)

    async def _send(self, sdk: AsyncOpenAI, body: Mapping[str, Any]) -> Answer | Failure:
        try:
            raw = await sdk.chat.completions.with_raw_response.create(**body)
        except APIStatusError as error:
            response = error.response
            headers = {name: self._redact(value) for name, value in response.headers.items()}
            return read_rejection(response.status_code, headers, self._redact(response.text))
        except APIConnectionError as error:
            return Failure("connection", self._redact(str(error.__cause__ or error)))
        response = raw.http_response
        return read_answer(self._redact(response.text), response.headers.get("content-type", ""))

    def _redact(self, text: str) -> str:
        return redact(text, self._config.api_key_env)


def _body(config: ServiceConfig, question: _Question, traits: _Traits) -> dict[str, Any]:
    messages = question.messages if traits.takes_system else without_system(question.messages)
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [
            {"role": message.role, "content": _content(message.content, () if number else question.pictures)}
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
    return body


def _content(text: str, pictures: Sequence[Part]) -> str | list[Part]:
    # A plain text where there are no pictures, because not every server takes parts.
    return [*pictures, {"type": "text", "text": text}] if pictures else text


def _ask_for_less(question: _Question, traits: _Traits, failure: Failure) -> _Traits | None:
    """Traits without the optional parameter that explains a failure; None if none explains it."""
    if failure.status not in (400, 422, 500, 501):
        return None
    if traits.limit_name == "max_tokens" and "max_completion_tokens" in failure.said:
        return replace(traits, limit_name="max_completion_tokens")
    if question.wants_logprobs and traits.gives_logprobs and "logprob" in failure.said:
        return replace(traits, gives_logprobs=False)
    if question.schema is not None and traits.format != "prompt" and _NAMES_A_FORMAT.search(failure.said):
        return replace(traits, format="json_object" if traits.format == "json_schema" else "prompt")
    return None


def _strict(schema: Mapping[str, object]) -> dict[str, object]:
    """Convert a JSON Schema for strict mode: every property required, and no others allowed."""
    kept = {key: value for key, value in schema.items() if key not in _NOT_STRICT}
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        kept["properties"] = {name: _strict(value) for name, value in properties.items()}
        kept |= {"required": list(properties), "additionalProperties": False}
    return kept
