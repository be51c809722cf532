"""Reading records in bulk, by way of what aiokafka keeps private, pinned to the version it was written for.

Why at all: a third of the cost of an event is building aiokafka's ``ConsumerRecord``; the records that its Cython
parser yields carry everything that a fold reads. :func:`choose_reader` tests the private path on real bytes when
a process starts, and falls back to the public ``getmany`` if anything about it differs: slower, equally right.

Two readers with one contract: *at most one contiguous batch per partition, positions advanced past it*. A batch
may hold no record at all: the end of a transaction takes an offset, too, and whoever waits for the end of a log
waits for that as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any, TypeAlias

import aiokafka
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, IllegalStateError, KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.batches import RecordBatch
from streams.tolerant_records import UNPARSABLE, TolerantRecords, tolerate_strange_batches
from streams.unpacking import unpacked_bytes

log = logging.getLogger("coordinator.kafka")

TESTED_VERSION = "0.14.0"

UNPACKED_AT_ONCE = 16 << 20
"""Bytes of compressed batches after which a drain ends: a fetch of a few megabytes may unpack to gigabytes."""

Batches: TypeAlias = dict[TopicPartition, RecordBatch]
Reader: TypeAlias = Callable[[AIOKafkaConsumer, Collection[TopicPartition], float, int], Awaitable[Batches]]
"""``reader(consumer, partitions, wait_seconds, max_records)``."""


def choose_reader() -> Reader:
    """The fast reader if its self-test passes, else the public one."""
    tolerate_strange_batches()
    problem = self_test()
    if problem is None:
        return read_raw
    log.warning("fast fetch path off", extra={"reason": problem, "aiokafka": aiokafka.__version__})
    return read_public


# -- reading --------------------------------------------------------------------------------------------------


async def read_public(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], wait: float, max_records: int
) -> Batches:
    """Through the documented API only."""
    wanted = [TopicPartition(*partition) for partition in partitions]  # Faust has an equal class of its own
    try:
        starts = {partition: await consumer.position(partition) for partition in wanted}
        fetched = await consumer.getmany(*wanted, timeout_ms=int(wait * 1000), max_records=max_records)
    except IllegalStateError:
        return {}  # a rebalance took one of them away
    batches: Batches = {}
    for partition in wanted:
        if (
            partition not in fetched
            and (position := await _position(consumer, partition)) > starts[partition]
        ):
            highwater = consumer.highwater(partition) or 0
            batches[partition] = RecordBatch(
                partition.topic, partition.partition, starts[partition], position, [], highwater
            )
    for partition, records in fetched.items():
        # A seek in between makes the known start too high; one forwards leaves it too low, which the
        # receiver trims.
        start = min(starts[partition], records[0].offset)
        batches[partition] = RecordBatch(
            partition.topic,
            partition.partition,
            start,
            records[-1].offset + 1,
            records,
            consumer.highwater(partition) or 0,
        )
    return batches


async def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    try:
        return int(await consumer.position(partition))
    except IllegalStateError:
        return -1  # a rebalance took it away meanwhile


async def read_raw(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], wait: float, max_records: int
) -> Batches:
    """Like aiokafka's ``Fetcher.fetched_records``, but without building ``ConsumerRecord`` objects."""
    fetcher = consumer._fetcher
    subscriptions = fetcher._subscriptions
    if consumer._closed or fetcher._closed:
        raise ConsumerStoppedError()
    with subscriptions.fetch_context():  # counts as polling: max.poll.interval.ms
        while True:
            if subscriptions.reassignment_in_progress:
                await subscriptions.wait_for_assignment()
            batches: Batches = {}
            for partition in list(fetcher._records):
                if partition not in partitions:
                    if not subscriptions.is_assigned(partition):
                        del fetcher._records[partition]
                    continue
                result = fetcher._records[partition]
                if type(result) is not FetchResult:  # an error that the fetch met
                    if batches:
                        return batches  # raise it next time
                    _release(fetcher, partition)
                    result.check_raise()
                    continue
                drained = drain(result, partition, max_records)
                if not result.has_more():
                    _release(fetcher, partition)
                if drained is not None and drained[1] > drained[0]:
                    batches[partition] = RecordBatch(
                        partition.topic, partition.partition, *drained, consumer.highwater(partition) or 0
                    )
            if batches or wait <= 0:
                return batches
            waiter = fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=wait)
            if not done or fetcher._closed:
                waiter.cancel()
                return {}
            waiter.result()  # authorization errors


def drain(result: Any, partition: TopicPartition, max_records: int) -> tuple[int, int, list[Any]] | None:
    """Take up to about ``max_records`` out of a ``FetchResult``: ``(start, next offset, records)``.

    Ends at a boundary between Kafka's record batches, so that no record is parsed twice.
    """
    if not result.check_assignment(partition) or not result.has_more():
        return None
    pending = result._partition_records
    start = next_offset = pending.next_fetch_offset
    memory = pending._records
    records: list[Any] = []
    enough = unpacked_bytes() + UNPACKED_AT_ONCE
    while len(records) < max_records and memory.has_next() and unpacked_bytes() < enough:
        batch = memory.next_native()
        if pending._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"wrong checksum in {partition} at {next_offset}")
        next_offset = batch.next_offset  # right even where compaction removed the last record
        if batch.is_control_batch:
            continue
        parsed = len(records)
        try:
            records.extend(batch)
        except UNPARSABLE as error:
            del records[parsed:]
            records += memory.reparse(batch, error)
    if records and records[0].offset < start:  # the position lies within a batch
        records = [record for record in records if record.offset >= start]
    pending.next_fetch_offset = next_offset
    result._update_position()
    if not memory.has_next():
        # The two refer to each other, and aiokafka cuts the link where it has read to the end.
        pending._records_iterator = result._partition_records = None
    return start, next_offset, records


def _release(fetcher: Any, partition: TopicPartition) -> None:
    """Let the fetcher ask for more of this partition."""
    del fetcher._records[partition]
    fetcher._notify(fetcher._wait_consume_future)


# -- the test -------------------------------------------------------------------------------------------------


def self_test() -> str | None:
    """Run the private path on bytes made by the public builder; what is wrong with it, or ``None``."""
    if aiokafka.__version__ != TESTED_VERSION:
        return f"aiokafka is {aiokafka.__version__}, tested with {TESTED_VERSION}"
    try:
        return _read_back()
    except (AttributeError, TypeError, ValueError, KeyError, KafkaError) as error:
        return f"{type(error).__name__}: {error}"


def _read_back() -> str | None:
    partition = TopicPartition("self-test", 0)
    expected = [(b"key-%d" % i, b"value-%d" % i, [("header", b"%d" % i)]) for i in range(5)]

    state = SimpleNamespace(position=1, paused=False)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    batch = _build(expected)
    pending = PartitionRecords(partition, TolerantRecords(batch), [], 1, None, None, True, READ_UNCOMMITTED)
    result = FetchResult(partition, assignment=assignment, partition_records=pending, backoff=0)
    drained = drain(result, partition, 1000)
    if drained is None:
        return "a fetch result gave nothing"
    start, next_offset, records = drained
    got = [(record.key, record.value, list(record.headers)) for record in records]
    if (start, next_offset, got) != (1, 5, expected[1:]):
        return f"read back {start, next_offset, got}"
    if [record.offset for record in records] != [1, 2, 3, 4] or not isinstance(records[0].timestamp, int):
        return "offsets or timestamps differ"
    if state.position != 5 or result.has_more():
        return "the position did not advance"
    for attribute in ("_records", "_subscriptions", "_wait_consume_future", "_closed"):
        if attribute not in aiokafka.consumer.fetcher.Fetcher.__init__.__code__.co_names:
            return f"Fetcher has no {attribute}"
    for method in ("_create_fetch_waiter", "_notify"):
        if not hasattr(aiokafka.consumer.fetcher.Fetcher, method):
            return f"Fetcher has no {method}"
    return None


def _build(records: Iterable[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> bytes:
    builder = BatchBuilder(1 << 16, 0)
    for key, value, headers in records:
        builder.append(timestamp=1, key=key, value=value, headers=headers)
    return bytes(builder._build())
