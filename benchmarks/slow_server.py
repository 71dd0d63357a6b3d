"""A server on loopback that answers every request of a run, each after a fixed time, like a busy LLM.

For benchmarks that measure what waiting costs. Its answers are always usable and always find a mismatch.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.delay_s = delay_s


class _Exchange(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(self.server.delay_s)
        content = json.dumps(_completion(_answer(body["messages"]))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def slow_server(delay_s: float) -> Iterator[str]:
    """Serve inside the block, in a process of its own; yields the base URL."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(delay_s, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.kill()


def _serve(delay_s: float, port: Connection) -> None:
    server = _Server(delay_s)
    port.send(server.server_port)
    server.serve_forever()


def _answer(messages: list[dict[str, Any]]) -> str:
    asked = messages[0]["content"]
    if not isinstance(asked, str):  # pictures: the captioner or the scorer
        question = asked[-1]["text"]
        if '{"score": S}' in question:
            return '{"score": 0.5}'
        return "No" if "yes or no" in question else "A ball moves over a floor and stops in the air."
    if "main_object" in asked:
        return '{"reasoning": "r", "main_object": "the ball", "physical_law": "gravity"}'
    if "found" in asked:
        return '{"reasoning": "r", "found": true, "text": "the ball stops in the air"}'
    return '{"step_back": "s", "prompt": "a red ball falls, hits the floor and bounces, lower each time"}'


def _completion(text: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    usage = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460}
    return {
        "id": "slow",
        "object": "chat.completion",
        "created": 1,
        "model": "slow",
        "choices": [choice],
        "usage": usage,
    }
