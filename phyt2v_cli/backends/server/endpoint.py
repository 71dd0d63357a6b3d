"""Endpoint of a role: its URL, its key, and errors for answers that are late, cut off or refused.

A key is read from the environment when it is needed; messages name only the variable. This file must not know
requests or retries.
"""

import os
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from phyt2v_cli.backends.server.answers import Answer, Failure
from phyt2v_cli.config.judges import VENDOR_URL, ServiceConfig, server_url
from phyt2v_cli.errors import BackendError, ConfigError, RefusalError, ReplyError

Role = Literal["generator", "llm", "captioner", "scorer"]

_DAY_S = 86_400
_VENDOR_VARIABLES = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
"""Variables that the vendor's own API gets as headers."""


def is_header(text: str) -> bool:
    """Whether a text can be sent in a header."""
    return text.isascii() and text.isprintable()


@dataclass(frozen=True)
class Endpoint:
    """Server and model of one role."""

    role: Role
    key: str
    """Section of the config, as in `llm` or `scorer.others[0]`, for messages."""
    url: str
    model: str
    api_key_env: str
    timeout_s: float

    @classmethod
    def of(cls, config: ServiceConfig, role: Role, *, key: str | None = None) -> "Endpoint":
        """Make the endpoint of a config section, which is called `key`; the default is the role.

        Raises ConfigError if its base URL is not the URL of a server.
        """
        endpoint = cls(
            role,
            key or role,
            server_url(config),
            config.model or "",
            config.api_key_env,
            config.timeout_s,
        )
        try:
            usable = bool(endpoint._parts.hostname) and endpoint._parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(f"{endpoint.key}.base_url: {endpoint.url!r} is not the URL of a server")
        return endpoint

    @property
    def is_vendors(self) -> bool:
        """Whether this is OpenAI's own API, which always needs a key."""
        return self._parts.hostname == urlsplit(VENDOR_URL).hostname

    @property
    def lacks_key(self) -> bool:
        """Whether the endpoint needs a key and none is set."""
        return self.is_vendors and not self._key

    def read_key(self) -> str:
        """Read the key from the environment; empty if none is set and the endpoint may not need one.

        Raises BackendError if a needed key is missing, the variable cannot be a key, or another one that the
        vendor's API gets cannot be sent.
        """
        key = self._key
        if self.lacks_key:
            raise BackendError(
                f"{self} needs a key, and the environment variable {self.api_key_env} is not set.",
                f"Set it, or name another variable with `{self.key}.api_key_env`, or another endpoint with "
                f"`{self.key}.base_url`.",
            )
        if not is_header(key) or " " in key:
            raise BackendError(
                f"The environment variable {self.api_key_env} holds something that cannot be a key: there is "
                "a space, a line break or a letter beyond ASCII in it."
            )
        for name in _VENDOR_VARIABLES if self.is_vendors else ():
            if not is_header(os.environ.get(name, "")):
                raise BackendError(
                    f"The environment variable {name} cannot be sent to {self}: there is a line break or a "
                    "letter beyond ASCII in it.",
                    "Correct it, or unset it.",
                )
        return key

    def explain_timeout(self, last: Failure | None) -> BackendError:
        """Error for a request that ran into `timeout_s`; `last` is the latest failure before it."""
        before = f" The last attempt failed: {last.detail}." if last is not None else ""
        wait = last.retry_after_s if last is not None else None
        how_long = f"{wait:.0f} s" if wait and wait < _DAY_S else "more than a day"
        asked = f" It asked to wait for {how_long}." if wait else ""
        return BackendError(
            f"{self} gave no answer within {self.timeout_s:g} s.{before}{asked}",
            f"How long to wait is `{self.key}.timeout_s`.",
        )

    def check(self, answer: Answer) -> Answer:
        """Check that an answer is complete, and return it.

        Raises RefusalError for a refusal, and ReplyError for an answer that is cut off.
        """
        if answer.refusal or answer.finish_reason == "content_filter":
            why = f": {' '.join(answer.refusal.split())[:300]}" if answer.refusal else " (content filter)"
            raise RefusalError(f"{self} refused to answer{why}")
        if answer.is_cut_off:
            raise self.explain_cut()
        return answer

    def explain_cut(self) -> ReplyError:
        """Error for an answer that does not fit into twice its `max_tokens`."""
        return ReplyError(
            f"{self} was cut off in its answer, twice",
            f"Raise `{self.key}.max_tokens`; if it gives no more, name another `{self.key}.model`.",
        )

    def __str__(self) -> str:
        parts = self._parts
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        # Without user info and query, since either can hold a secret.
        place = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
        return f"The {'LLM' if self.role == 'llm' else self.role} {self.model} at {place}"

    @property
    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip()

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)
