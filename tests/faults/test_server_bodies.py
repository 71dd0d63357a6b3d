"""Bodies that have no end, that grow when they are unpacked, or that claim to be what they are not."""

import gzip
import json
import tracemalloc
import zlib

import pytest

from phyt2v_cli.backends.server.bodies import MAX_BODY_BYTES
from tests.scripted_server import Behaviour, Exchange, answer, completion, raw, status
from tests.server_clients import ask, fail

pytestmark = pytest.mark.usefixtures("loopback")

WHOLE = json.dumps(completion("hé, 球"), ensure_ascii=False).encode()
MIB = 2**20
CHARSETS = ["utf-16", "undefined", "hex", "zlib", "rot13", "latin-1", "no-such", "idna", ""]


def encoded(content: bytes, encoding: str, code: int = 200) -> Behaviour:
    return lambda exchange: exchange.send(code, content, {"Content-Encoding": encoding})


def endless(code: int) -> Behaviour:
    """Send a body without an end, until the client has enough."""

    def behave(exchange: Exchange) -> None:
        exchange.wfile.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" % code
        )
        try:
            for _ in range(20 * MAX_BODY_BYTES // MIB):
                exchange.wfile.write(b" " * MIB)
        except OSError:
            pass
        exchange.close_connection = True

    return behave


def bomb() -> bytes:
    """Gzip of 12 times the limit, in some MB."""
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(bytes(MIB)) for _ in range(12 * MAX_BODY_BYTES // MIB)]
    return b"".join(parts) + packer.flush()


def assert_refused_within_memory(behaviour: Behaviour) -> None:
    tracemalloc.start()
    try:
        text, server = fail(behaviour)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(server.requests) == 1
    assert "more than 32 MiB" in text
    assert "llm.base_url" in text
    assert peak < 6 * MAX_BODY_BYTES


@pytest.mark.parametrize("code", [200, 400, 503])
def test_fault_50_a_body_without_an_end_is_not_read_to_it(code: int) -> None:
    assert_refused_within_memory(endless(code))


@pytest.mark.parametrize("code", [200, 400])
def test_fault_50_a_bomb_is_not_unpacked(code: int) -> None:
    assert_refused_within_memory(encoded(bomb(), "gzip", code))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [(gzip.compress(WHOLE), "gzip"), (zlib.compress(WHOLE), "deflate"), (WHOLE, "identity"), (WHOLE, "")],
)
def test_a_body_that_is_packed_unasked_is_read(content: bytes, encoding: str) -> None:
    reply, server = ask(encoded(content, encoding))
    assert reply.text == "hé, 球"
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (WHOLE, "br", "compression 'br'"),
        (WHOLE, "zstd, gzip", "compression"),
        (WHOLE, "gzip", "broken"),
        (gzip.compress(WHOLE)[:-20], "gzip", "breaks off"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_the_servers_fault(
    content: bytes, encoding: str, said: str
) -> None:
    text, _ = fail(encoded(content, encoding))
    assert "not OpenAI-compatible" in text
    assert said in text


@pytest.mark.parametrize("charset", CHARSETS)
def test_fault_51_a_charset_changes_nothing(charset: str) -> None:
    kind = f"application/json; charset={charset}"
    assert ask(raw(WHOLE, kind))[0].text == "hé, 球"
    text, _ = fail(status(400, "ouch é", {"Content-Type": kind}))
    assert "400: ouch é" in text
    assert ask(status(503, "ouch", {"Content-Type": kind}), answer("hi"))[0].text == "hi"


@pytest.mark.parametrize("content", [WHOLE.decode().encode("utf-16"), b'{"choices": "\xe9"}'])
def test_fault_51_what_is_not_utf_8_is_the_servers_fault(content: bytes) -> None:
    text, server = fail(raw(content, "application/json; charset=utf-16"))
    assert len(server.requests) == 1
    assert "bytes that are not UTF-8" in text


def test_a_byte_order_mark_is_no_fault() -> None:
    assert ask(raw(b"\xef\xbb\xbf" + WHOLE))[0].text == "hé, 球"
