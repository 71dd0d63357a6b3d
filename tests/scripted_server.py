"""A real HTTP server on loopback that answers chat completions as scripted, well or badly.

    with ScriptedServer(status(503), answer("hello")) as server:
        ...ask server.url...

The script is a list of behaviours, one for each request; the last one goes on for ever.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Body = dict[str, Any]


@dataclass(frozen=True)
class SeenRequest:
    """What a client has sent."""

    path: str
    headers: Mapping[str, str]
    body: Body


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    server: "_Server"
    protocol_version = "HTTP/1.1"
    body: Body

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"]))
        self.body = json.loads(text)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.next_behaviour(SeenRequest(self.path, headers, self.body))(self)

    def send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Behaviour = Callable[[Exchange], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, script: tuple[Behaviour, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.stopped = threading.Event()
        self.requests: list[SeenRequest] = []
        self._script = list(script)
        self._turn = threading.Lock()

    def next_behaviour(self, request: SeenRequest) -> Behaviour:
        with self._turn:
            self.requests.append(request)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that have hung up, which is what they should do here."""


class ScriptedServer:
    """The server; use it in a ``with`` statement."""

    _count = 0

    def __init__(self, *script: Behaviour) -> None:
        self._server = _Server(script)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        # A path of its own, because ports are used again and what is learned of a URL is remembered.
        ScriptedServer._count += 1
        self.url = f"http://127.0.0.1:{self._server.server_port}/{ScriptedServer._count}/v1"

    @property
    def requests(self) -> list[SeenRequest]:
        return self._server.requests

    @property
    def bodies(self) -> list[Body]:
        return [request.body for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def completion(
    text: str | None,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    usage: object = None,
    logprobs: Mapping[str, float] | None = None,
) -> Body:
    """Return the body of a chat completion; `logprobs` are those of its only token, `text`."""
    top = [{"token": token, "logprob": value} for token, value in (logprobs or {}).items()]
    tokens = {"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
                "logprobs": tokens if logprobs is not None else None,
            }
        ],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }


def answer(text: str | None, **details: Any) -> Behaviour:
    """Answer well; the details are those of `completion`."""
    return answer_with(lambda _: text, **details)


def answer_with(write: Callable[[Body], str | None], **details: Any) -> Behaviour:
    """Answer well, with a text that depends on the request."""
    return lambda exchange: exchange.send(
        200, json.dumps(completion(write(exchange.body), **details)).encode()
    )


def answer_of_any_task(body: Body) -> str:
    """Return a usable reply to whatever the loop asks an LLM, a captioner or a scorer."""
    asked = body["messages"][0]["content"]
    if not isinstance(asked, str):
        question = asked[-1]["text"]
        return (
            '{"score": 0.5}'
            if '{"score": S}' in question
            else "No"
            if "yes or no" in question
            else "It moves."
        )
    if "main_object" in asked:
        return '{"reasoning": "r", "main_object": "the ball", "physical_law": "gravity"}'
    if "found" in asked:
        return '{"reasoning": "r", "found": true, "text": "it hovers"}'
    return '{"step_back": "s", "prompt": "a ball falls"}'


def status(code: int, body: object = None, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer with an error; a `body` that is no text is sent as JSON."""
    if body is None:
        body = {"error": {"message": f"scripted {code}", "type": "x", "param": None, "code": None}}
    content = body if isinstance(body, str) else json.dumps(body)
    return lambda exchange: exchange.send(code, content.encode(), headers)


def raw(content: bytes, content_type: str = "application/json") -> Behaviour:
    """Answer with status 200 and any bytes."""
    return lambda exchange: exchange.send(200, content, {"Content-Type": content_type})


def either(condition: Callable[[Body], bool], then: Behaviour, otherwise: Behaviour) -> Behaviour:
    """Behave in one of two ways, depending on the request."""
    return lambda exchange: (then if condition(exchange.body) else otherwise)(exchange)


def stall(exchange: Exchange) -> None:
    """Never answer."""
    exchange.server.stopped.wait()
    exchange.close_connection = True


def drip_headers(exchange: Exchange) -> None:
    """Answer one byte of a header at a time, for ever."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(exchange)


def drip_body(exchange: Exchange) -> None:
    """Answer one byte of the body at a time, for ever."""
    exchange.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n"
    )
    _drip(exchange)


def _drip(exchange: Exchange) -> None:
    while not exchange.server.stopped.wait(0.02):
        exchange.wfile.write(b" ")
    exchange.close_connection = True


def drop(exchange: Exchange) -> None:
    """Hang up without a word."""
    exchange.hang_up()


def cut_short(exchange: Exchange) -> None:
    """Announce a whole answer and hang up in the middle of it."""
    content = json.dumps(completion('{"a": 1}')).encode()
    exchange.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    )
    exchange.wfile.write(content[: len(content) // 2])
    exchange.hang_up()


def end_early(exchange: Exchange) -> None:
    """Send half an answer of no announced length, which HTTP cannot tell from a whole one."""
    content = json.dumps(completion('{"a": 1}')).encode()
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    exchange.wfile.write(content[: len(content) // 2])
    exchange.hang_up()
