"""Commands find a local Kafka and worker by the files these leave, and are not misled by stale ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.dev import addresses


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_running_kafka_is_found_by_the_address_it_left(tmp_path: Path, listening: str) -> None:
    where = addresses.Coordinator(listening, "coordinator.")
    assert addresses.running(tmp_path) is None
    addresses.publish(tmp_path, where)
    assert addresses.running(tmp_path) == where
    addresses.withdraw(tmp_path)
    assert addresses.running(tmp_path) is None


def test_an_address_where_nothing_answers_any_more_is_no_address(tmp_path: Path) -> None:
    addresses.publish(tmp_path, addresses.Coordinator("127.0.0.1:1", ""))
    (tmp_path / "http").write_text("127.0.0.1:1\n")
    assert addresses.running(tmp_path) is None
    assert addresses.worker_http(tmp_path) is None


@pytest.mark.parametrize("left", ["", "[]", "{}", "nonsense"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, left: str) -> None:
    (tmp_path / "kafka.json").write_text(left)
    assert addresses.running(tmp_path) is None


def test_a_worker_is_found_by_the_address_it_left(tmp_path: Path, listening: str) -> None:
    (tmp_path / "http").write_text(f"{listening}\n")
    assert addresses.worker_http(tmp_path) == listening


def test_a_port_is_free_unless_somebody_listens_there(listening: str) -> None:
    assert not addresses.port_is_free("127.0.0.1", int(listening.rpartition(":")[2]))
