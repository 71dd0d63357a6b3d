"""Asks one endpoint that speaks OpenAI's chat completions, and asks again where that may help.

The one retry layer and the one deadline of these backends are here; the SDK's own are off. What an endpoint
turned out not to understand is remembered for as long as the process lives. This file knows no task, no video
and no wording.
"""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

from phyt2v_cli.backends.server import event_loop
from phyt2v_cli.backends.server.answers import Answer, Failure, read_answer, read_rejection
from phyt2v_cli.backends.server.endpoint import Endpoint, Role
from phyt2v_cli.config.schema import ServiceConfig

_CONNECT_TIMEOUT_S = 10.0
_MAX_BACKOFF_S = 30.0
_NUM_LOGPROBS = 20
"""The most that the protocol allows."""

_MIN_SECRET_CHARS = 8
"""Shorter keys are placeholders such as "none", which may well be part of an answer."""

_NAMES_A_FORMAT = re.compile("response_format|json_schema|json_object|structured|grammar|schema")
_NOT_STRICT = {"title", "default", "minLength", "maxLength"}
"""Keywords that strict mode refuses or that blow up grammars; what they demand is validated anyway."""

ChatMessage = Mapping[str, Any]
"""A message as the protocol has it: `role`, and `content` as a text or as parts."""


@dataclass(frozen=True)
class _Traits:
    """What an endpoint and its model understand."""

    format: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """How it is made to answer in JSON, most binding first; the last leaves it to the prompt."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    gives_logprobs: bool = True


_known_traits: dict[tuple[str, str], _Traits] = {}
"""By base URL and model. Only what has brought an answer is kept."""


@dataclass(frozen=True)
class _Question:
    """What is asked, before it is put in a way that the endpoint understands."""

    messages: Sequence[ChatMessage]
    schema: Mapping[str, object] | None
    wants_logprobs: bool
    max_tokens: int

    @property
    def has_pictures(self) -> bool:
        return any(not isinstance(message["content"], str) for message in self.messages)


class OpenAIClient:
    """Asks one model at one endpoint. It holds no connection, so any number of threads may share it."""

    def __init__(self, config: ServiceConfig, role: Role, *, backoff_s: float = 0.5) -> None:
        """Take the endpoint of `role`; nothing is sent yet.

        `backoff_s` is the longest wait before the first retry; it doubles with each further one. Raises
        ConfigError where the base URL is none.
        """
        self._config = config
        self._endpoint = Endpoint.of(config, role)
        self._backoff_s = backoff_s

    @property
    def gives_logprobs(self) -> bool:
        """Whether the endpoint may give logprobs; False once it has ignored or rejected the wish."""
        return self._traits.gives_logprobs

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: Mapping[str, object] | None = None,
        wants_logprobs: bool = False,
    ) -> Answer:
        """Return an answer that is whole and no refusal, as `ask` does.

        Raises ReplyError for a refusal, an empty answer and one that is cut off twice; and what `ask` raises.
        """
        return self.check(self.ask(messages, schema=schema, wants_logprobs=wants_logprobs))

    def check(self, answer: Answer) -> Answer:
        """Return an answer that says something; raise ReplyError for a refusal, and for half or no answer."""
        return self._endpoint.check(answer)

    def ask(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema: Mapping[str, object] | None = None,
        wants_logprobs: bool = False,
    ) -> Answer:
        """Return an answer, whatever it says; its tokens include those of one cut off before it.

        `schema` is what the text is to fit; the messages must say so too, for endpoints that cannot be bound.
        With `wants_logprobs` an answer that goes on after its first token need not be whole. Raises
        BackendError if no answer is to be had within `timeout_s`, all retries included.
        """
        question = _Question(messages, schema, wants_logprobs, self._config.max_tokens)
        attempts = _Attempts(self._config, self._endpoint, self._backoff_s, self._traits)
        # In an event loop, because the timeouts of blocking sockets begin anew with every byte that a slow
        # server lets drip; only a cancelled task ends in time.
        answer = event_loop.wait_for(attempts.answer(question))
        _known_traits[self._endpoint.url, self._endpoint.model] = attempts.traits
        return answer

    @property
    def _traits(self) -> _Traits:
        return _known_traits.get((self._endpoint.url, self._endpoint.model), _Traits())


class _Attempts:
    """All attempts at one answer."""

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
        sdk = AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._endpoint.url,
            max_retries=0,
            timeout=Timeout(None, connect=_CONNECT_TIMEOUT_S),
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),  # one would take the key along
        )
        if not self._endpoint.is_vendors:  # the SDK reads both from the environment, for the vendor alone
            sdk.organization = sdk.project = None
        return sdk

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
            lasting = not outcome.may_pass or (question.has_pictures and self._endpoint.cannot_see(outcome))
            if lasting or num_failed > self._config.max_retries:
                if question.max_tokens > self._config.max_tokens and outcome.status in (400, 422):
                    raise self._endpoint.explain_cut()  # it cannot give twice as much
                raise self._endpoint.explain(
                    outcome,
                    attempts=num_failed,
                    has_key=bool(self._key),
                    has_pictures=question.has_pictures,
                )
            # Full jitter, so that runs that failed together do not come back together; not out of the
            # sequence that the host may have seeded, here and in its other processes.
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
        return text.replace(self._key, "[key]") if len(self._key) >= _MIN_SECRET_CHARS else text


def _body(config: ServiceConfig, question: _Question, traits: _Traits) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": config.model,
        "messages": question.messages,
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
            wanted = {"schema": schema}  # llama.cpp's own, and harmless where it is not known
        body["response_format"] = {"type": traits.format, **wanted}
    return body


def _ask_for_less(question: _Question, traits: _Traits, failure: Failure) -> _Traits | None:
    """Return what to believe of an endpoint after a failure that one of the optional wishes explains."""
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
    """Return a schema as strict mode wants it: every property required, and no others."""
    kept = {key: value for key, value in schema.items() if key not in _NOT_STRICT}
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        kept["properties"] = {name: _strict(value) for name, value in properties.items()}
        kept |= {"required": list(properties), "additionalProperties": False}
    return kept
