"""Bodies of responses, within limits and as UTF-8, whatever a server sends or says that it sends.

Hooks of an HTTP client, so that they see each response before anything is read of it, errors included. This
file must not know what is in a body.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Any

from openai import DefaultAsyncHttpxClient

from phyt2v_cli.files.redaction import MIN_NAMED_CHARS

http: Any = import_module(DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])
"""HTTP library that the SDK is built on: httpx up to version 2, then httpx2."""

MAX_BODY_BYTES = 32 * 2**20
"""Limit of an answer, before and after it is decompressed. One of 4096 tokens with logprobs has 10 MB."""
MAX_VIDEO_BYTES = 512 * 2**20
"""The same for a video; 1,000 frames of 1080p fit."""

_COMPRESSIONS = ("gzip", "x-gzip", "deflate")


class UnusableBodyError(http.DecodingError):  # type: ignore[misc]  # which the SDK passes on
    """Body that is not read: too large, or in a compression that was not asked for."""


async def ask_for_plain_body(request: Any) -> None:
    """Ask for a body without compression: answers are short, and what is not compressed needs no care."""
    request.headers["Accept-Encoding"] = "identity"


def limit_body(max_bytes: int) -> Callable[[Any], Awaitable[None]]:
    """Let a body be read as UTF-8, and only up to the limit; reading on raises UnusableBodyError."""

    async def limit(response: Any) -> None:
        response.encoding = (
            "utf-8"  # JSON has no other, and Python knows charsets that are none, such as zlib
        )
        compression = response.headers.pop("content-encoding", "identity").strip().casefold()
        response.stream = _LimitedStream(response.stream, compression, max_bytes)

    return limit


class _LimitedStream(http.AsyncByteStream):  # type: ignore[misc]  # not known before
    """Stream of bytes that is decompressed here, because a library would decompress all that there is."""

    def __init__(self, stream: Any, compression: str, max_bytes: int) -> None:
        self._stream = stream
        self._compression = compression
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._compression not in ("identity", "", *_COMPRESSIONS):
            # A longer name is none, and may be the key.
            name = f" {self._compression!r}" if len(self._compression) < MIN_NAMED_CHARS else ""
            raise UnusableBodyError(f"a body in the compression{name}")
        # 32 + 15: gzip or zlib, as the data says.
        unzip = zlib.decompressobj(47) if self._compression in _COMPRESSIONS else None
        num_sent = num_read = 0
        async for chunk in self._stream:
            num_sent += len(chunk)
            if unzip is not None:
                try:
                    chunk = unzip.decompress(chunk, self._max_bytes - num_read + 1)
                except zlib.error as error:
                    raise UnusableBodyError("a compressed body that is broken") from error
            num_read += len(chunk)
            if max(num_sent, num_read) > self._max_bytes:
                raise UnusableBodyError(f"more than {self._max_bytes // 2**20} MiB")
            yield chunk
        if unzip is not None and num_sent and not unzip.eof:
            raise UnusableBodyError("a compressed body that breaks off")

    async def aclose(self) -> None:
        await self._stream.aclose()
