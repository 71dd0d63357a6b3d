"""Requests to a video server about one job: create, look, fetch, cancel, with retries and one deadline.

This file must not know the form of a request, or what becomes of a video.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

from openai import APIConnectionError, APIStatusError

from phyt2v_cli.backends import network
from phyt2v_cli.backends.server import bodies, event_loop, remedies, video_requests
from phyt2v_cli.backends.server.answers import Failure
from phyt2v_cli.backends.server.connection import Connection, delay_before_retry
from phyt2v_cli.backends.server.endpoint import Endpoint
from phyt2v_cli.backends.server.video_requests import Fields, Job, Traits
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.roles import Cancelled

_FIRST_POLL_S, _LAST_POLL_S = 0.1, 5.0
_POLL_SHARE = 0.1
"""Wait before the next poll, as a share of the time since the job began."""
_TICK_S = 0.1
_GRACE_S = 2.0
"""Time for a server to name a job that is cancelled while it is created: without its name it would go on."""
_CANCEL_S = 3.0
"""Timeout of the cancellation of a job."""

_Result = TypeVar("_Result")
_known_traits: dict[tuple[str, str, str], Traits] = {}
"""Cache by base URL, model and flavour. Traits are stored only after they brought a job."""


class VideoJobs:
    """Requests about one job, which makes one video, under one deadline. Use it in a ``with`` statement."""

    def __init__(
        self, config: GeneratorConfig, endpoint: Endpoint, cancelled: Cancelled, backoff_s: float
    ) -> None:
        """Begin the time that the config's `timeout_s` limits; raises BackendError if a key is missing."""
        self._config = config
        self._endpoint = endpoint
        self._cancelled = cancelled
        self._backoff_s = backoff_s
        self._connection = Connection(endpoint, max_body_bytes=bodies.MAX_VIDEO_BYTES)
        self._sdk = self._connection.open()
        self._begun = time.monotonic()
        self._last: Failure | None = None
        self.traits = _known_traits.get(self._place) or video_requests.first_traits(config.flavour)
        self.sent: Fields = {}
        """Body of the request that brought the job."""

    @property
    def flavour(self) -> str:
        """Kind of server, by the route that it took."""
        return "openai" if self.traits.route == "/videos" else "fastvideo"

    def create(self, fields: Fields) -> Job:
        """Have a video made as the server takes it; raises BackendError if it does not."""
        first_failure: Failure | None = None
        while True:
            self.sent = video_requests.body_of(fields, self.traits)
            job = self._ask("POST", self.traits.route, _read_job, self.sent)
            if isinstance(job, Job):
                _known_traits[self._place] = self.traits
                return job
            adapted = video_requests.adapt(
                fields, self.traits, job, may_change_route=self._config.flavour == "auto"
            )
            if adapted is None:
                # Of two routes that are not there the first is the usual one.
                is_none_there = first_failure is not None and job.status == first_failure.status
                raise self._explain(first_failure if first_failure and is_none_there else job, 1)
            if adapted.route != self.traits.route:
                first_failure = job
            self.traits = adapted

    def look_at(self, job: Job) -> Job:
        """Ask how far a job is."""
        found = self._insist(f"/videos/{quote(job.id, safe='')}", _read_job)
        return replace(found, id=job.id)  # whatever the server calls it now

    def fetch(self, job: Job) -> bytes:
        """Fetch the mp4 of a job that is done."""
        return self._insist(f"/videos/{quote(job.id, safe='')}/content", _read_content)

    def cancel(self, job: Job) -> None:
        """Cancel a job, if the server answers soon; some let it run to its end all the same."""

        async def delete() -> None:
            async with asyncio.timeout(_CANCEL_S):
                await self._sdk.delete(f"/videos/{quote(job.id, safe='')}", cast_to=object, options=_RAW)

        with suppress(Exception):
            event_loop.wait_for(delete())

    def wait_for_next_poll(self) -> None:
        """Wait, the longer the job is at work; raises RunInterruptedError once it is cancelled."""
        passed = time.monotonic() - self._begun
        self._wait(min(max(passed * _POLL_SHARE, _FIRST_POLL_S), _LAST_POLL_S))

    def is_key_in(self, content: bytes) -> bool:
        """Check if what the server sent holds the key."""
        return self._connection.is_given_away_in(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event_loop.wait_for(self._sdk.close())

    @property
    def _place(self) -> tuple[str, str, str]:
        return self._endpoint.url, self._endpoint.model, self._config.flavour

    def _insist(self, path: str, read: "Callable[[_Response], _Result | Failure]") -> _Result:
        outcome = self._ask("GET", path, read)
        if isinstance(outcome, Failure):
            raise self._explain(outcome, 1)
        return outcome

    def _ask(
        self,
        method: Literal["GET", "POST"],
        path: str,
        read: "Callable[[_Response], _Result | Failure]",
        body: Mapping[str, Any] | None = None,
    ) -> _Result | Failure:
        """Send a request, with retries; a Failure is one that no retry fixes.

        A lost POST is not sent again, because the server may be at work on it.
        """
        num_failed = 0
        while True:
            outcome = self._send(method, path, read, body)
            if not isinstance(outcome, Failure):
                return outcome
            self._last = outcome
            num_failed += 1
            is_lost = method == "POST" and outcome.kind == "connection" and outcome.was_sent
            if is_lost or not remedies.may_pass(outcome, self._asked):
                return outcome
            if num_failed > self._config.max_retries:
                raise self._explain(outcome, num_failed)
            self._wait(delay_before_retry(num_failed, outcome, self._backoff_s))

    def _send(
        self,
        method: str,
        path: str,
        read: "Callable[[_Response], _Result | Failure]",
        body: Mapping[str, Any] | None,
    ) -> _Result | Failure:
        async def work() -> _Result | Failure:
            try:
                async with asyncio.timeout(self._left_s):
                    if method == "GET":
                        raw: Any = await self._sdk.get(path, cast_to=object, options=_RAW)
                    else:
                        options = _RAW_FORM if self.traits.is_form else _RAW
                        raw = await self._sdk.post(
                            path, cast_to=object, body=dict(body or {}), options=options
                        )
            except TimeoutError:
                raise self._endpoint.explain_timeout(self._last) from None
            except (APIStatusError, APIConnectionError) as error:
                if isinstance(error, APIStatusError):
                    # FastVideo, by one of its documents, tells of a failed job with the status of an error.
                    found = read(_Response(error.response, self._connection))
                    if isinstance(found, Job) and found.state == "failed":
                        return found
                return self._connection.failure_of(error)
            return read(_Response(raw.http_response, self._connection))

        grace_s = _GRACE_S if method == "POST" else 0.0
        return event_loop.wait_for(work(), self._cancelled, grace_s=grace_s)

    def _wait(self, seconds: float) -> None:
        if seconds >= self._left_s:
            raise self._endpoint.explain_timeout(self._last)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._cancelled():
                raise RunInterruptedError("The rendering was stopped.")
            time.sleep(min(left, _TICK_S))

    @property
    def _left_s(self) -> float:
        return self._begun + self._config.timeout_s - time.monotonic()

    @property
    def _asked(self) -> remedies.Asked:
        return remedies.Asked(
            who=str(self._endpoint),
            key=self._endpoint.key,
            model=self._endpoint.model,
            key_variable=self._endpoint.api_key_env,
            has_key=self._connection.has_key,
            ambient=network.at_work(self._endpoint.url),
        )

    def _explain(self, failure: Failure, attempts: int) -> BackendError:
        return remedies.explain(failure, self._asked, attempts=attempts)


class _Response:
    """Response of the server, without the key."""

    def __init__(self, response: Any, connection: Connection) -> None:
        self.content: bytes = response.content
        self.content_type: str = response.headers.get("content-type", "")
        self._redact = connection.redact

    @property
    def text(self) -> str:
        return self._redact(self.content.decode("utf-8-sig", errors="replace"))


def _read_job(response: _Response) -> Job | Failure:
    return video_requests.read_job(response.text, response.content_type)


def _read_content(response: _Response) -> bytes | Failure:
    return response.content


_RAW: Any = {"headers": {"X-Stainless-Raw-Response": "true"}}
"""Options of the SDK for a response as it is, which it would parse."""
_RAW_FORM: Any = {"headers": {**_RAW["headers"], "Content-Type": "multipart/form-data"}}
