"""A real HTTP server on loopback that makes videos as one of four kinds of servers does, well or badly.

    with VideoServer("sglang") as server:
        ...make videos at server.url...

Each video is a small clip of the size and length that was asked for. `faults` are behaviours that come first:
lists by method and last part of the path, as in ``{"POST videos": [status(503)]}``.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from email.parser import BytesParser
from functools import cache
from http.server import ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote

import av
import numpy as np

from tests.scripted_server import Behaviour, Body, Exchange, SeenRequest

Kind = Literal["openai", "sglang", "vllm-omni", "fastvideo"]

VENDORS = ("model", "prompt", "size", "seconds", "input_reference")
"""Fields of OpenAI's own API, which knows no others."""
ROUTES = {
    "openai": ("videos",),
    "sglang": ("videos",),
    "vllm-omni": ("videos",),
    "fastvideo": ("generations",),
}


_ENCODER = {"threads": "1", "mbtree": "0", "flags": "+bitexact"}


def clip(num_frames: int = 9, height: int = 32, width: int = 32, fps: int = 8) -> bytes:
    """Encode a square that moves to the right, as an mp4 without any metadata of ours."""
    return _encode(num_frames, height, width, fps)


@cache
def _encode(num_frames: int, height: int, width: int, fps: int) -> bytes:
    encoded = BytesIO()
    with av.open(encoded, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=fps, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(num_frames):
            pixels = np.full((height, width, 3), 210, np.uint8)
            pixels[8:20, number : number + 12] = (200, 40, 40)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return encoded.getvalue()


class VideoExchange(Exchange):
    """One request and its answer."""

    server: "_Server"  # type: ignore[assignment]
    is_form = False

    def do_POST(self) -> None:  # noqa: N802  as http.server calls it
        content = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        self.is_form = kind.startswith("multipart/")
        self.body = _form(content, kind) if self.is_form else json.loads(content)
        self._answer()

    def do_GET(self) -> None:  # noqa: N802  as http.server calls it
        self.body = {}
        self._answer()

    def do_DELETE(self) -> None:  # noqa: N802  as http.server calls it
        self.do_GET()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(SeenRequest(self.path, headers, self.body))
        self.server.owner.answer(self)

    def say(self, tree: object, status: int = 200) -> None:
        self.send(status, json.dumps(tree).encode())


def _form(content: bytes, kind: str) -> Body:
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content)
    return {
        str(part.get_param("name", header="content-disposition")): str(part.get_payload())
        for part in message.get_payload()  # type: ignore[union-attr]
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: "VideoServer") -> None:
        super().__init__(("127.0.0.1", 0), VideoExchange)
        self.owner = owner
        self.stopped = threading.Event()
        self.requests: list[SeenRequest] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that have hung up, which is what they should do here."""


class VideoServer:
    """The server; use it in a ``with`` statement."""

    _count = 0

    def __init__(
        self,
        kind: Kind = "sglang",
        *,
        progress: Sequence[float] = (),
        ends: Mapping[str, object] | None = None,
        make: Callable[[Body], bytes] | None = None,
        faults: Mapping[str, list[Behaviour]] | None = None,
        on_poll: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Set what each job says at its first polls, how it `ends`, and how its clip is made."""
        self.kind = kind
        self.jobs: dict[str, Body] = {}
        """What was asked for, by the id of the job."""
        self.deleted: list[str] = []
        self._progress = progress
        self._ends = ends or {"status": "completed", "progress": 100}
        self._make = make or clip_for
        self._faults = dict(faults or {})
        self._on_poll = on_poll
        self.polls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        VideoServer._count += 1  # what is learned of a URL is remembered
        self.url = f"http://127.0.0.1:{self._server.server_port}/{VideoServer._count}/v1"

    @property
    def requests(self) -> list[SeenRequest]:
        return self._server.requests

    def answer(self, exchange: VideoExchange) -> None:
        path = unquote(exchange.path).partition("/v1/")[2]
        last = path.rpartition("/")[2]
        name = last if last in ("videos", "generations", "content", "models") else "job"
        with self._lock:
            waiting = self._faults.get(f"{exchange.command} {name}")
            fault = waiting.pop(0) if waiting else None
        if fault is not None:
            fault(exchange)
        elif exchange.command == "POST":
            self._create(exchange, path)
        else:
            found = re.fullmatch(r"videos/([^/]+)(/content)?", path)
            if found is None or found[1] not in self.jobs:
                exchange.say({"error": {"message": "Video not found"}}, 404)
            elif exchange.command == "DELETE":
                self.deleted.append(found[1])
                exchange.say({"id": found[1], "object": "video.deleted", "deleted": True})
            elif found[2]:
                exchange.send(200, self._make(self.jobs[found[1]]), {"Content-Type": "video/mp4"})
            else:
                self._describe(exchange, found[1])

    def _create(self, exchange: VideoExchange, path: str) -> None:
        body = exchange.body
        if path.rpartition("/")[2] not in ROUTES[self.kind]:
            exchange.say({"detail": "Not Found"}, 404)
        elif self.kind == "vllm-omni" and not exchange.is_form:
            missing = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": None}
            exchange.say({"detail": [missing]}, 422)
        elif self.kind == "openai" and (unknown := [name for name in body if name not in VENDORS]):
            exchange.say({"error": {"message": f"Unknown parameter: '{unknown[0]}'."}}, 400)
        else:
            with self._lock:
                id = f"video_{len(self.jobs)}"
                self.jobs[id] = body
            exchange.say(self._job(id, {"status": "queued", "progress": 0}))

    def _describe(self, exchange: VideoExchange, id: str) -> None:
        with self._lock:
            number = self.polls[id] = self.polls.get(id, 0) + 1
        self._on_poll(number)
        if number <= len(self._progress):
            state: Mapping[str, object] = {"status": "in_progress", "progress": self._progress[number - 1]}
        else:
            state = self._ends
        exchange.say(self._job(id, state))

    def _job(self, id: str, state: Mapping[str, object]) -> Body:
        asked = self.jobs[id]
        return {"id": id, "object": "video", "model": asked["model"], "created_at": 1, **state}

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


def clip_for(asked: Body) -> bytes:
    """Encode the clip that a request asks for."""
    width, height = map(int, str(asked.get("size", "32x32")).split("x"))
    num_frames = asked.get("num_frames") or 8 * int(asked.get("seconds", 1))
    return clip(int(num_frames), height, width)


def settings_for(server: VideoServer, **more: Any) -> dict[str, object]:
    """Return the settings with which small videos are made at a server."""
    return {
        "generator.base_url": server.url,
        "generator.model": "some/model",
        "generator.num_frames": 9,
        "generator.height": 32,
        "generator.width": 32,
        "generator.fps": 8,
        **{f"generator.{name}": value for name, value in more.items()},
    }
