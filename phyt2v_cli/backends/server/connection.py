"""Connection to an endpoint through the vendor's SDK: key, headers, limits, and errors as `Failure`.

The SDK's own retries and deadline are off. No key but the endpoint's is sent, and it leaves no trace in what
comes back. This file must not know what is asked for.
"""

import os
import random
import ssl
from functools import lru_cache
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

from phyt2v_cli.backends import network
from phyt2v_cli.backends.server import bodies
from phyt2v_cli.backends.server.answers import Failure, read_rejection
from phyt2v_cli.backends.server.endpoint import Endpoint, is_header
from phyt2v_cli.files.redaction import MIN_NAMED_CHARS, redact

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
_TLS_VARIABLES = (*network.CERTIFICATE_VARIABLES, "SSLKEYLOGFILE")


class _Sdk(AsyncOpenAI):
    """SDK without headers that cannot be sent, which it would take from the environment and fail on."""

    @property
    def default_headers(self) -> dict[str, Any]:
        """Headers of every request, before those are dropped that nobody named."""
        return {
            name: value
            for name, value in super().default_headers.items()
            if not isinstance(value, str) or is_header(name + value)
        }


class Connection:
    """Connection to one endpoint, with its key as it is when this is made."""

    def __init__(self, endpoint: Endpoint, *, max_body_bytes: int = bodies.MAX_BODY_BYTES) -> None:
        """Read the key; raises BackendError as `Endpoint.read_key` does."""
        self._endpoint = endpoint
        self._max_body_bytes = max_body_bytes
        self._key = endpoint.read_key()

    @property
    def has_key(self) -> bool:
        """Whether a key is set."""
        return bool(self._key)

    def open(self) -> AsyncOpenAI:
        """Open a client, to be closed by an ``async with``."""
        trust_env = not network.is_loopback(self._endpoint.url)  # proxies lead away from this machine
        return _Sdk(
            api_key=self._key or "none",
            base_url=self._endpoint.url,
            max_retries=0,
            timeout=Timeout(None, connect=_CONNECT_TIMEOUT_S),
            http_client=DefaultAsyncHttpxClient(
                follow_redirects=False,  # a redirect would send the key on
                trust_env=trust_env,
                verify=_certificates(trust_env, *map(os.environ.get, _TLS_VARIABLES)),
                event_hooks={
                    "request": [self._send_only_what_is_named, bodies.ask_for_plain_body],
                    "response": [bodies.limit_body(self._max_body_bytes)],
                },
            ),
        )

    def failure_of(self, error: APIStatusError | APIConnectionError) -> Failure:
        """Translate what the SDK raises."""
        if isinstance(error, APIStatusError):
            response = error.response
            headers = {name: self.redact(value) for name, value in response.headers.items()}
            return read_rejection(response.status_code, headers, self.redact(response.text))
        cause = error.__cause__
        if isinstance(cause, bodies.UnusableBodyError):
            return Failure("foreign", str(cause))
        was_sent = not isinstance(cause, (bodies.http.ConnectError, bodies.http.ConnectTimeout))
        return Failure("connection", self.redact(str(cause or error)), was_sent=was_sent)

    def redact(self, text: str) -> str:
        """Replace keys in a text that the server sent."""
        return redact(text, self._endpoint.api_key_env)

    def is_given_away_in(self, content: bytes) -> bool:
        """Check if bytes that the server sent, which are no text, hold the key."""
        return len(self._key) >= MIN_NAMED_CHARS and self._key.encode() in content

    async def _send_only_what_is_named(self, request: Any) -> None:
        """Drop the headers that the SDK takes from the environment, which may hold another key.

        Done as the request leaves, because the SDK knows more variables with each version.
        """
        sent = _SENT_HEADERS | _VENDOR_HEADERS if self._endpoint.is_vendors else _SENT_HEADERS
        for name in set(request.headers) - sent:
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {self._key or 'none'}"


@lru_cache(maxsize=8)
def _certificates(trust_env: bool, *_: str | None) -> ssl.SSLContext:
    """Load the certificates to trust, once for these values of the environment; it takes 0.05 s of a core."""
    context: ssl.SSLContext = bodies.http.create_ssl_context(trust_env=trust_env)
    return context


def delay_before_retry(num_failed: int, failure: Failure, backoff_s: float) -> float:
    """Seconds to wait after `num_failed` failures in a row, the last of which is `failure`.

    Full jitter, so that runs that failed together do not retry together. `backoff_s` is the longest wait
    before the first retry; it doubles with each.
    """
    spread_s = min(backoff_s * 2 ** (num_failed - 1), _MAX_BACKOFF_S)
    # SystemRandom, because the host may have seeded `random` alike in several processes.
    return (failure.retry_after_s or 0.0) + random.SystemRandom().uniform(0, spread_s)
