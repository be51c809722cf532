"""Asking a worker over HTTP: each kind of answer, from a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from streams.cli.http import NotFound, WorkerRefused, WorkerUnreachable, get_json
from streams.errors import ConfigurationError


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {
            "/v1/agents?fleet=a+b": (200, b'{"agents":[]}'),
            "/v1/tasks/t": (404, b'{"detail":"the fleet has no task t"}'),
            "/busy": (503, b'{"detail":"it still restores"}'),
        }.get(self.path, (404, b"<html>"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_query_leaves_out_what_is_not_given(address: str) -> None:
    assert get_json(address, "/v1/agents", {"fleet": "a b", "state": None}) == {"agents": []}


def test_an_address_may_be_given_as_a_url(address: str) -> None:
    assert get_json(f"http://{address}/", "/v1/agents", {"fleet": "a b"}) == {"agents": []}


def test_what_the_worker_does_not_know_is_not_found(address: str) -> None:
    with pytest.raises(NotFound, match="the fleet has no task t"):
        get_json(address, "/v1/tasks/t")


def test_a_refusal_carries_the_workers_words(address: str) -> None:
    with pytest.raises(WorkerRefused, match="it still restores"):
        get_json(address, "/busy")


def test_a_server_that_is_no_worker_is_called_so(address: str) -> None:
    with pytest.raises(WorkerRefused, match="is that a worker's address"):
        get_json(address, "/elsewhere")


def test_an_address_where_nothing_listens_is_named(address: str) -> None:
    with pytest.raises(WorkerUnreachable, match=r"no worker answers at http://127\.0\.0\.1:1") as caught:
        get_json("127.0.0.1:1", "/v1/summary")
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("address", ["http://a:b:c", "a:99999", "https://a:1", ""])
def test_an_address_that_is_none_is_refused_before_anybody_is_asked(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--http.*give") as caught:
        get_json(address, "/v1/summary")
    assert caught.value.exit_status == 2
