"""A hub on loopback with one model on it: as much of its HTTP interface as a download needs."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

HUB_ID = "some-one/some-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@contextmanager
def serve_hub(
    folder: Path,
    next_folder: Path | None = None,
    *,
    gated: bool = False,
    branches: Mapping[str, Path] = MappingProxyType({}),
) -> Iterator[tuple[str, list[str]]]:
    """Serve the files of `folder` as a model; yield its address, and the files asked for so far.

    A `gated` model shows its description and refuses its files, as the hub does without access.

    `branches` are further folders, by the names of their branches.

    As soon as somebody has read model_index.json, `next_folder` is published as the model's newest commit.
    """
    fetched: list[str] = []
    folders = {COMMIT: folder} if next_folder is None else {COMMIT: folder, NEXT_COMMIT: next_folder}
    commits = {name: hashlib.sha1(name.encode()).hexdigest() for name in branches}
    folders |= {commits[name]: path for name, path in branches.items()}

    def newest() -> str:
        return NEXT_COMMIT if next_folder is not None and "model_index.json" in fetched else COMMIT

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked = re.fullmatch(
                rf"(?:/api/models)?/{HUB_ID}(?:/(tree|revision|resolve)/([^/]+)(?:/(.*))?)?",
                urlsplit(self.path).path,
            )
            if asked is None:
                self.send_error(404)
                return
            what, revision, name = asked.groups()
            if gated and what == "resolve":
                self.send_response(403)
                self.send_header("X-Error-Code", "GatedRepo")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            commit = newest() if revision in (None, "main") else commits.get(unquote(revision), revision)
            if commit not in folders:
                self.send_response(404)
                self.send_header("X-Error-Code", "RevisionNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            here = folders[commit]
            files = [file for file in sorted(here.rglob("*")) if file.is_file()]
            if what == "resolve":
                if self.command == "GET":
                    fetched.append(name)
                self.answer((here / name).read_bytes(), commit)
            elif what == "tree":
                self.answer(json.dumps([self.entry(file, here) for file in files]).encode(), commit)
            else:
                siblings = [{"rfilename": str(file.relative_to(here))} for file in files]
                described = {"id": HUB_ID, "sha": commit, "siblings": siblings}
                self.answer(json.dumps(described).encode(), commit)

        def entry(self, file: Path, here: Path) -> dict[str, object]:
            return {
                "type": "file",
                "path": str(file.relative_to(here)),
                "size": file.stat().st_size,
                "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
            }

        def answer(self, body: bytes, commit: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
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
