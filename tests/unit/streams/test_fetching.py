"""The fast path reads what the public one reads, and steps aside when aiokafka is not as it was."""

from __future__ import annotations

import gc
import logging
import weakref
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from streams import fetching
from streams.fetching import UNPACKED_AT_ONCE, choose_reader, drain, read_public, read_raw, self_test
from streams.tolerant_records import TolerantRecords
from tests.support.bombs import Bomb


def test_the_installed_aiokafka_passes_the_self_test() -> None:
    assert self_test() is None
    assert choose_reader() is read_raw


def test_another_version_falls_back_to_the_public_path(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aiokafka, "__version__", "9.9.9")
    with caplog.at_level(logging.WARNING):
        assert choose_reader() is read_public
    assert "fast fetch path off" in caplog.text


def test_changed_internals_fall_back_to_the_public_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fetching.FetchResult, "_update_position")
    problem = self_test()
    assert problem is not None
    assert "_update_position" in problem
    assert choose_reader() is read_public


def test_a_path_that_reads_something_else_falls_back_to_the_public_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = fetching.drain
    monkeypatch.setattr(
        fetching,
        "drain",
        lambda *args: (lambda got: got and (got[0], got[1], got[2][1:]))(original(*args)),
    )
    assert choose_reader() is read_public


@pytest.mark.parametrize("size", [UNPACKED_AT_ONCE, 1 << 30], ids=["allowed", "bomb"])
def test_a_fetch_that_unpacks_to_gigabytes_is_taken_in_small_parts(size: int) -> None:
    """Between them the consumer's thread can tell the group that it lives, and the fold takes what was read."""
    assert choose_reader() is read_raw
    batch = bytes(Bomb(size, "zstd")._build())
    data = b"".join(offset.to_bytes(8, "big") + batch[8:] for offset in range(40))
    partition = TopicPartition("t", 0)
    fetched = result_of(data, partition)
    for offset in range(3):
        drained = drain(fetched, partition, 1_000)
        assert drained is not None
        start, end, records = drained
        assert (start, end, [record.offset for record in records]) == (offset, offset + 1, [offset])


def test_what_was_read_is_let_go_at_once() -> None:
    """Not by the garbage collector, which rarely comes: until then hundreds of megabytes would lie around."""
    builder = BatchBuilder(1 << 16, 0)
    builder.append(timestamp=1, key=b"k", value=b"v")
    partition = TopicPartition("t", 0)
    fetched = result_of(bytes(builder._build()), partition)
    read = weakref.ref(fetched._partition_records)
    gc.disable()
    try:
        assert drain(fetched, partition, 1_000) is not None
        assert not fetched.has_more()
        assert read() is None
    finally:
        gc.enable()


def result_of(data: bytes, partition: TopicPartition) -> Any:
    """A fetch result as aiokafka makes it."""
    state = SimpleNamespace(position=0, paused=False)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    pending = fetching.PartitionRecords(
        partition, TolerantRecords(data), [], 0, None, None, True, fetching.READ_UNCOMMITTED
    )
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return fetching.FetchResult(partition, assignment=assignment, partition_records=pending, backoff=0)
