"""A Maven repository of our own on loopback, whole or broken, for the download of jars."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from streams.kafka.jars import Jar


@dataclass
class Repository:
    """Serves ``files`` by path; tests change it to break it."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    """Send only so many bytes of each jar, though the header promises all."""
    requests: list[str] = field(default_factory=list)

    def add(self, name: str, content: bytes) -> Jar:
        self.files[f"/org/example/{name}/1.0/{name}-1.0.jar"] = content
        return Jar("org.example", name, "1.0", len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def repository() -> Iterator[Repository]:
    served = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: served.cut_after])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
    gc.collect()
