"""One consumer for all who read in this process: manual partitions, no group, dispatch by key.

Agents and clients subscribe to single partitions at offsets of their own choice. The reader fetches each
partition once, whoever reads it, and hands a record to those whose key it bears. A subscription that begins
further back rewinds its partition; the others do not see again what they have seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from coordinator.errors import CoordinatorError, ReadingStopped

log = logging.getLogger("coordinator")

FETCH_WAIT_MS = 1_000
RETRY_SECONDS = 0.5
STOP_SECONDS = 5.0


class Record(Protocol):
    """What a subscriber gets; aiokafka's own record objects satisfy it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(slots=True, eq=False)
class Subscription:
    """One reader of one partition."""

    partition: TopicPartition
    key: bytes | None
    """Only records with this key; ``None`` for all."""
    next: int
    """Records below this offset are not for this subscription (any more)."""
    receive: Callable[[Record], None]
    """Called in the event loop, in the order of the log; must not block."""
    failed: Callable[[CoordinatorError], None]
    """Called once if reading ends for good."""


class Reader:
    """Reads on behalf of subscriptions. The consumer is given unstarted and is stopped with the reader."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._subscriptions: dict[TopicPartition, list[Subscription]] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._consumer.start()
        self._task = asyncio.create_task(self._run(), name="coordinator-reader")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await stop_consumer(self._consumer)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the log ends now, for each partition."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return ends

    def subscribe(self, subscription: Subscription) -> None:
        partition = subscription.partition
        position = self._positions.get(partition)
        others = self._subscriptions.setdefault(partition, [])
        if position is None:
            self._positions[partition] = subscription.next
            self._changed.set()
        elif subscription.next < position:
            for other in others:
                other.next = max(other.next, position)
            self._positions[partition] = subscription.next
            self._changed.set()
        others.append(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        others = self._subscriptions.get(subscription.partition, [])
        if subscription in others:
            others.remove(subscription)
        if not others and self._subscriptions.pop(subscription.partition, None) is not None:
            del self._positions[subscription.partition]
            self._changed.set()

    def position(self, subscription: Subscription) -> int:
        """Offset up to which the subscription has been given everything."""
        return max(subscription.next, self._positions.get(subscription.partition, 0))

    async def _run(self) -> None:
        while True:
            if self._changed.is_set():
                self._changed.clear()
                self._assign()
            if not self._positions:
                await self._changed.wait()
                continue
            try:
                await self._fetch_once()
            except KafkaError as error:
                if not error.retriable:
                    self._fail(error)
                    continue
                log.warning("reading failed, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _assign(self) -> None:
        # `assign` replaces the whole assignment and forgets all positions, so each is set again, to what was
        # dispatched: batches that were fetched but not dispatched are fetched once more.
        self._consumer.assign(list(self._positions))
        for partition, position in self._positions.items():
            self._consumer.seek(partition, position)

    async def _fetch_once(self) -> None:
        fetch = asyncio.ensure_future(self._consumer.getmany(timeout_ms=FETCH_WAIT_MS))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({fetch, changed}, return_when=asyncio.FIRST_COMPLETED)
            if not fetch.done():
                return
            for partition, records in fetch.result().items():
                self._dispatch(partition, records)
        finally:
            for task in (fetch, changed):
                task.cancel()
            await asyncio.gather(fetch, changed, return_exceptions=True)

    def _dispatch(self, partition: TopicPartition, records: list[Record]) -> None:
        position = self._positions.get(partition)
        if position is None or not records or records[0].offset < position:
            return  # unsubscribed meanwhile, or fetched before a change
        if self._changed.is_set() and records[0].offset > position:
            return  # rewound while these were on their way
        by_key: dict[bytes | None, list[Subscription]] = {}
        for subscription in self._subscriptions[partition]:
            by_key.setdefault(subscription.key, []).append(subscription)
        everything = by_key.pop(None, [])
        for record in records:
            for subscription in (*by_key.get(record.key, ()), *everything):
                if record.offset >= subscription.next:
                    self._hand_over(subscription, record)
        if partition in self._positions:
            self._positions[partition] = max(position, records[-1].offset + 1)

    def _hand_over(self, subscription: Subscription, record: Record) -> None:
        subscription.next = record.offset + 1
        try:
            subscription.receive(record)
        except Exception as error:  # an edge:
            # one subscriber's defect must not end the reading of all others.
            log.exception("a record of %s could not be taken in", subscription.partition.topic)
            self.unsubscribe(subscription)
            subscription.failed(ReadingStopped(subscription.partition.topic, repr(error)))

    def _fail(self, error: KafkaError) -> None:
        forbidden = error.args[0] if isinstance(error, TopicAuthorizationFailedError) and error.args else None
        for partition in list(self._subscriptions):
            if isinstance(forbidden, str) and partition.topic != forbidden:
                continue  # what may be read goes on
            stopped = ReadingStopped(partition.topic, str(error))
            for subscription in list(self._subscriptions[partition]):
                self.unsubscribe(subscription)
                subscription.failed(stopped)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, broker or no broker.

    While a broker is away, aiokafka 0.14's ``stop`` cancels its own waiting fetches and lets one of these
    cancellations escape, before it has closed its sockets. In a task of its own that cannot pass for a
    cancellation of ours, and the sockets are closed here.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=STOP_SECONDS)
    if not stopping.done() or stopping.cancelled():
        stopping.cancel()
        await consumer._client.close()
    else:
        stopping.result()
