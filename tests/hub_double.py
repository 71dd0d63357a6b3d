"""A hub on loopback with one model on it: as much of its HTTP interface as a download needs."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

HUB_ID = "some-one/some-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve_hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the files of `folder` as a model; yield its address, and the files asked for so far."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith(f"/api/models/{HUB_ID}/tree/"):
                files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                self.answer(json.dumps([self.entry(file) for file in files]).encode())
            elif path.startswith(f"/api/models/{HUB_ID}"):
                self.answer(json.dumps({"id": HUB_ID, "sha": COMMIT, "siblings": []}).encode())
            elif path.startswith(f"/{HUB_ID}/resolve/"):
                name = path.removeprefix(f"/{HUB_ID}/resolve/").partition("/")[2]
                if self.command == "GET":
                    fetched.append(name)
                self.answer((folder / name).read_bytes())
            else:
                self.send_error(404)

        def entry(self, file: Path) -> dict[str, object]:
            return {
                "type": "file",
                "path": str(file.relative_to(folder)),
                "size": file.stat().st_size,
                "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
            }

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", fetched
        finally:
            server.shutdown()
            thread.join()
