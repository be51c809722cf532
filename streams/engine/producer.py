"""The engine's own Kafka producer: everything that the coordinator appends goes through it.

Stock Faust logs delivery errors and goes on; here every error reaches whoever must stop for it. Idempotent with
``acks=all``: a retry can neither duplicate nor reorder, which the changelog's fencing depends on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from models.fold import Headers, Output
from models.partition import partition_of
from streams.engine.aiokafka_internals import new_batch
from streams.engine.errors import NotDelivered, NotRunning, TopicUnfit
from streams.engine.lane import Lane, Message
from streams.failpoints import failpoint

OUTPUT_BATCH_BYTES = 512 << 10
"""Half of Kafka's default ``max.message.bytes``, which bounds whole batches. A bigger record goes alone."""

MAX_REQUEST_BYTES = 5 << 20
"""The largest record of the contract is 4 MiB."""

IN_FLIGHT_RECORDS = 200_000
"""Outputs waiting for their acks at which no more records are fetched."""

_partition_of = lru_cache(maxsize=1 << 16)(partition_of)


class EngineProducer:
    """Sends messages in order per partition and tells what became of them."""

    def __init__(self, bootstrap_servers: str, *, topic_prefix: str, request_timeout: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic_prefix = topic_prefix
        self._request_timeout = request_timeout
        self._kafka: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._partition_counts: dict[str, int] = {}
        self._in_flight = 0
        self._room = asyncio.Event()
        self._room.set()
        self._unacked: dict[asyncio.Future[Any], tuple[str, float]] = {}
        """Topic and moment (on the monotonic clock) of each batch under way, oldest first."""
        self._lanes: dict[tuple[str, int], Lane] = {}

    async def start(self) -> None:
        """Connect; does nothing when connected."""
        async with self._starting:
            if self._kafka is not None:
                return
            kafka = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers,
                enable_idempotence=True,
                acks="all",
                max_request_size=MAX_REQUEST_BYTES,
                request_timeout_ms=int(self._request_timeout * 1000),
            )
            try:
                await kafka.start()
            except BaseException:  # a stop comes as a cancellation
                await kafka.stop()
                raise
            self._kafka = kafka

    async def stop(self) -> None:
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await kafka.stop()
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.close()

    async def probe(self, patience: float) -> None:
        """Ask the cluster for its metadata.

        Raises:
            TimeoutError, KafkaError: if no broker answers.
        """
        await asyncio.wait_for(self._client.client.fetch_all_metadata(), patience)

    async def partition_count(self, topic: str) -> int:
        """Of the topic with this full name; partition counts of our topics are fixed at creation.

        Raises:
            TopicUnfit: if there is no such topic.
        """
        count = self._partition_counts.get(topic)
        if count is None:
            try:
                partitions = await self._client.partitions_for(topic)
            except KafkaError as error:
                raise TopicUnfit(
                    topic, f"does not exist or cannot be described ({error!r}); create it"
                ) from error
            count = self._partition_counts[topic] = len(partitions)
        return count

    async def submit(self, topic: str, partition: int, messages: Iterable[Message], max_bytes: int) -> Sent:
        """Queue messages for one partition, in order, in as few batches as ``max_bytes`` allows."""
        futures: Sent = []
        batch = new_batch(max_bytes)

        async def ship() -> None:
            batch.close()
            future = await self._client.send_batch(batch, topic, partition=partition)
            self._unacked[future] = (topic, time.monotonic())
            future.add_done_callback(self._unacked.pop)
            futures.append((future, batch.record_count()))

        for key, value, given in messages:
            headers = list(given)  # what aiokafka's Cython insists on
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:  # full
                await ship()
                batch = new_batch(max_bytes)
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        if batch.record_count():
            await ship()
        return futures

    async def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Append one record to the topic with this logical name and wait for the ack.

        Returns:
            Partition and offset.

        Raises:
            NotDelivered: if Kafka did not acknowledge it. It may still have been written.
        """
        name = self._topic_prefix + topic
        try:
            if partition is None:
                partition = _place(key, await self.partition_count(name), 0)
            sent = await self.submit(name, partition, [(key, value, headers)], OUTPUT_BATCH_BYTES)
            metadata = await sent[0][0]
        except KafkaError as error:
            raise NotDelivered(name, error) from error
        offset: int = metadata.offset
        return partition, offset

    async def send_outputs(
        self, outputs: Sequence[Output], order: asyncio.Lock, source_partition: int
    ) -> None:
        """Send what a fold put out; returns when all is acked. ``order`` keeps calls in FIFO order.

        Raises:
            NotDelivered: if anything was not acknowledged.
        """
        self._took(len(outputs))
        try:
            async with order:
                by_partition = await self._by_partition(outputs, source_partition)
                acknowledged = [self._lane(*place).put(messages) for place, messages in by_partition.items()]
            failpoint("emit.submitted")
            await asyncio.gather(*acknowledged)
            failpoint("emit.acked")
        finally:
            self._took(-len(outputs))

    def _lane(self, topic: str, partition: int) -> Lane:
        lane = self._lanes.get((topic, partition))
        if lane is None:

            async def send(messages: Iterable[Message]) -> None:
                try:
                    for future, _ in await self.submit(topic, partition, messages, OUTPUT_BATCH_BYTES):
                        await future
                except KafkaError as error:
                    raise NotDelivered(topic, error) from error

            lane = self._lanes[topic, partition] = Lane(send)
        return lane

    def oldest_unacked(self) -> tuple[str, float] | None:
        """Topic of the batch that has waited longest for its ack, and since when, if there is one."""
        return next(iter(self._unacked.values()), None)

    async def wait_for_room(self) -> None:
        """Return when so few outputs are under way that more records may be folded."""
        await self._room.wait()

    async def _by_partition(
        self, outputs: Sequence[Output], source_partition: int
    ) -> dict[tuple[str, int], list[Message]]:
        grouped: dict[tuple[str, int], list[Message]] = {}
        topics: dict[str, tuple[str, int]] = {}
        for output in outputs:
            if output.topic not in topics:
                name = self._topic_prefix + output.topic
                topics[output.topic] = name, await self.partition_count(name)
            name, count = topics[output.topic]
            partition = output.partition
            if partition is None:
                partition = _place(output.key, count, source_partition)
            grouped.setdefault((name, partition), []).append((output.key, output.value, output.headers))
        return grouped

    def _took(self, records: int) -> None:
        self._in_flight += records
        if self._in_flight >= IN_FLIGHT_RECORDS:
            self._room.clear()
        else:
            self._room.set()

    @property
    def _client(self) -> AIOKafkaProducer:
        if self._kafka is None:
            raise NotRunning()
        return self._kafka


def _place(key: bytes | None, partitions: int, without_key: int) -> int:
    """As Java and aiokafka clients do; a record without key stays reproducible by its source."""
    return without_key % partitions if key is None else _partition_of(key, partitions)


Sent = list[tuple["asyncio.Future[Any]", int]]
"""For each batch: resolves to aiokafka's ``RecordMetadata`` (``.offset`` = base offset); number of records."""
