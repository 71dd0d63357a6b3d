"""Client of one endpoint that speaks OpenAI's chat completions, with retries and a deadline.

This is the only retry layer and the only deadline of these backends; the SDK's own are off. Parameters that
an endpoint turned out not to support are remembered until the process ends. This file must not know tasks,
videos or the wording of questions.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from phyt2v_cli.backends import network
from phyt2v_cli.backends.server import event_loop, remedies
from phyt2v_cli.backends.server.answers import Answer, Failure, read_answer
from phyt2v_cli.backends.server.connection import Connection, delay_before_retry
from phyt2v_cli.backends.server.endpoint import Endpoint, Role
from phyt2v_cli.backends.server.questions import Part, Question, Traits, adapt, body_of
from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.roles import Message
from phyt2v_cli.turns import Turns

_CONCURRENCY = 8
"""Requests to one server at a time, unless the config says otherwise."""
_known_traits: dict[tuple[str, str], Traits] = {}
"""Cache by base URL and model. Traits are stored only after they brought an answer."""


_turns: WeakValueDictionary[str, Turns] = WeakValueDictionary()
"""Turns at each server by its base URL, shared by all clients that name it."""
_turns_lock = threading.Lock()

_answered: set[tuple[str, str, str, int]] = set()
"""Requests that brought an answer, by base URL, model, variable of the key and number of pictures."""


class OpenAIClient:
    """Client of one model at one endpoint. Thread-safe: it keeps no connection between requests."""

    def __init__(
        self, config: ServiceConfig, role: Role, *, key: str | None = None, backoff_s: float = 0.5
    ) -> None:
        """Set the endpoint of `role`, whose section of the config is called `key`; nothing is sent yet.

        `backoff_s` is the longest wait before the first retry, in seconds; it doubles with each retry.
        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._endpoint = Endpoint.of(config, role, key=key)
        self._backoff_s = backoff_s
        self._turns = _turns_at(self._endpoint.url, config.concurrency or _CONCURRENCY)

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
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> Answer:
        """Ask as `ask` does, and accept only a complete answer.

        Raises RefusalError for a refusal, ReplyError for an answer that is cut off twice, and what `ask`
        raises.
        """
        return self.check(
            self.ask(messages, pictures=pictures, schema=schema, wants_logprobs=wants_logprobs, extra=extra)
        )

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
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> Answer:
        """Ask the model, with retries; the answer may be a refusal, empty or cut off.

        An answer that is cut off is asked for once more with twice the tokens; the tokens of both are
        counted. `pictures` are shown before the text of the first message. `schema` is the JSON Schema of the
        reply. The messages must describe it too, for endpoints that cannot enforce it. With `wants_logprobs`
        only the answer's first token matters, so a cut is no fault. `extra` are further fields of the
        request, which the config's settings come before. At most the config's `concurrency`
        requests go to one server at a time; the wait for a turn is no part of the timeout. Raises
        BackendError if the endpoint rejects the request, lacks a key, or gives no answer within the config's
        `timeout_s` (retries included), and ReplyError if it cannot give twice the tokens.
        """
        question = Question(messages, pictures, schema, wants_logprobs, self._config.max_tokens, extra)
        with self._turns.taken():
            return self._ask_in_turn(question)

    def probe(self, pictures: Sequence[Part] = ()) -> None:
        """Ask for one word, unless the endpoint has answered this process before.

        `pictures` are as many as later requests will show. Raises BackendError as `ask` does; a refusal or an
        answer that is cut off is an answer.
        """
        if self._has_answered(len(pictures)):
            return
        messages = [Message("user", "Answer with one word: yes.")]
        question = Question(messages, pictures, None, False, self._config.max_tokens)
        with self._turns.taken():
            if not self._has_answered(len(pictures)):  # to another thread, meanwhile
                self._ask_in_turn(question)

    def _ask_in_turn(self, question: Question) -> Answer:
        """Ask with what is known of the endpoint now; a thread that waited has others' answers to go by."""
        attempts = _Attempts(self._config, self._endpoint, self._backoff_s, self._traits)
        # In an event loop, because the timeout of a blocking socket starts anew with every byte of a slow
        # server; only a cancelled task ends in time.
        answer = event_loop.wait_for(attempts.answer(question))
        # Before the turn ends, for the next thread.
        _known_traits[self._place] = attempts.traits
        _answered.add(self._kind(len(question.pictures)))
        return answer

    def _has_answered(self, num_pictures: int) -> bool:
        return self._kind(num_pictures) in _answered

    def _kind(self, num_pictures: int) -> tuple[str, str, str, int]:
        return *self._place, self._endpoint.api_key_env, num_pictures

    @property
    def _place(self) -> tuple[str, str]:
        return self._endpoint.url, self._endpoint.model

    @property
    def _traits(self) -> Traits:
        return _known_traits.get(self._place, Traits())


def _turns_at(url: str, concurrency: int) -> Turns:
    """Turns at a server, with as many places as the smallest `concurrency` of its clients."""
    with _turns_lock:
        turns = _turns.setdefault(url, Turns(concurrency))
        turns.resize(min(concurrency, turns.num_places))
    return turns


class _Attempts:
    """Attempts at one answer, all under one deadline."""

    def __init__(self, config: ServiceConfig, endpoint: Endpoint, backoff_s: float, traits: Traits) -> None:
        self.traits = traits
        self._config = config
        self._endpoint = endpoint
        self._backoff_s = backoff_s
        self._connection = Connection(endpoint)
        self._last: Failure | None = None

    async def answer(self, question: Question) -> Answer:
        try:
            async with asyncio.timeout(self._config.timeout_s) as limit, self._connection.open() as sdk:
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

    async def _ask(self, sdk: AsyncOpenAI, question: Question, deadline: float) -> Answer:
        num_failed = 0
        while True:
            outcome = await self._send(sdk, body_of(self._config, question, self.traits))
            if isinstance(outcome, Answer):
                if question.wants_logprobs and outcome.text and not outcome.logprobs:
                    self.traits = replace(self.traits, gives_logprobs=False)
                return outcome
            self._last = outcome
            adapted = adapt(question, self.traits, outcome)
            if adapted is not None:
                question, self.traits = adapted
                continue
            num_failed += 1
            asked = self._asked(question)
            if num_failed > self._config.max_retries or not remedies.may_pass(outcome, asked):
                if question.max_tokens > self._config.max_tokens and outcome.status in (400, 422):
                    raise self._endpoint.explain_cut()  # it cannot give twice as much
                raise remedies.explain(outcome, asked, attempts=num_failed)
            delay_s = delay_before_retry(num_failed, outcome, self._backoff_s)
            if asyncio.get_running_loop().time() + delay_s >= deadline:
                raise self._endpoint.explain_timeout(outcome)
            await asyncio.sleep(delay_s)

    def _asked(self, question: Question) -> remedies.Asked:
        return remedies.Asked(
            who=str(self._endpoint),
            key=self._endpoint.key,
            model=self._endpoint.model,
            key_variable=self._endpoint.api_key_env,
            has_key=self._connection.has_key,
            num_pictures=len(question.pictures),
            max_tokens=question.max_tokens,
            ambient=network.at_work(self._endpoint.url),
        )

    async def _send(self, sdk: AsyncOpenAI, body: Mapping[str, Any]) -> Answer | Failure:
        try:
            raw = await sdk.chat.completions.with_raw_response.create(**body)
        except (APIStatusError, APIConnectionError) as error:
            return self._connection.failure_of(error)
        response = raw.http_response
        try:
            text = response.content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return Failure("foreign", "bytes that are not UTF-8")
        redact = self._connection.redact
        answer = read_answer(redact(text), response.headers.get("content-type", ""))
        if isinstance(answer, Answer):  # of parts, which only together may be the key
            answer = replace(answer, text=redact(answer.text), refusal=redact(answer.refusal))
        return answer
