"""The one connection of a process to the coordinator's topics, shared by all its agents and clients.

Fifty agents on one :class:`Connection` are one Kafka producer and one consumer. What the records mean is known
to ``agent.py`` and ``client.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2

from coordinator import _limits
from coordinator._outages import calm_the_library, tell_outages
from coordinator._reader import Reader, Subscription
from coordinator._wire import Place
from coordinator.errors import BrokerUnavailable, DeliveryFailed, NotRunning, TopicMissing

log = logging.getLogger("coordinator")

LINGER_MS = 5
"""Enough to put the heartbeats of many agents into one request, too little to be felt."""
MAX_REQUEST_BYTES = 2 << 20
MAX_BATCH_BYTES = 256 << 10
FLUSH_SECONDS = 5.0
PATIENCE_SECONDS = 3.0
"""How long to wait for a broker or a topic without a word about it."""


class Sent(Protocol):
    """Where a record is; aiokafka's metadata of it satisfies this."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class Delivery:
    """A record on its way, in order after those posted before it. Await it to know where the broker has it."""

    __slots__ = ("_connection", "_future", "_key", "_producer", "_topic")

    def __init__(
        self,
        connection: Connection,
        producer: AIOKafkaProducer,
        future: asyncio.Future[Sent],
        topic: str,
        key: str,
    ) -> None:
        self._connection = connection
        self._producer = producer
        self._future = future
        self._topic = topic
        self._key = key

    def __await__(self) -> Generator[object, None, Place]:
        return self._wait().__await__()

    async def _wait(self) -> Place:
        try:
            # Cancelling the caller must not cancel the batch that others' records share.
            sent = await asyncio.shield(self._future)
        except KafkaError as error:
            await self._connection._replace_producer(self._producer)
            raise DeliveryFailed(self._topic, self._key, str(error)) from error
        return sent.partition, sent.offset


class Connection:
    """A shared producer and consumer.

    Use it as ``async with Connection(...) as connection`` and give it to agents and clients, or give them
    nothing and each opens its own.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        topic_prefix: str | None = None,
        connect_timeout: float = 30.0,
        client_id: str = "coordinator-sdk",
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        """Describe a connection; nothing is opened yet.

        Args:
            bootstrap_servers: ``host:port`` or ``[IPv6]:port``, several separated by commas, with ``kafka://``
                in front or without. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else ``localhost:9092``.
            topic_prefix: What all topic names begin with, its separator included. Default:
                ``COORDINATOR_TOPIC_PREFIX``, else ``coordinator.``.
            connect_timeout: Seconds to wait for a broker that is still starting, and for topics that the
                coordinator has yet to create.
            client_id: How the broker's logs and quotas name this process.
            kafka: Further aiokafka settings for producer, consumer and admin client alike, such as
                ``security_protocol``, ``ssl_context``, ``sasl_mechanism``, ``sasl_plain_username``.

        Raises:
            InvalidValue: if an address is none.
        """
        self.bootstrap_servers = _limits.addresses(
            bootstrap_servers or os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or "localhost:9092"
        )
        self.topic_prefix = (
            topic_prefix
            if topic_prefix is not None
            else os.environ.get("COORDINATOR_TOPIC_PREFIX", "coordinator.")
        )
        self._connect_timeout = connect_timeout
        self._settings: dict[str, object] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": client_id,
            **(kafka or {}),
        }
        self._producer: AIOKafkaProducer | None = None
        self._producer_change = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._reader: Reader | None = None
        self._reader_start = asyncio.Lock()
        self._log_identity: str | None = None

    async def start(self) -> Self:
        """Connect.

        Raises:
            BrokerUnavailable: if no broker answers in time.
        """
        if self._producer is None:
            calm_the_library()
            self._producer = await self._start_producer()
            self._watch = asyncio.create_task(
                tell_outages(self.bootstrap_servers, self._is_connected), name="coordinator-outages"
            )
        return self

    async def stop(self) -> None:
        """Send what is still waiting, for a few seconds at most, and close. May be called twice."""
        reader, self._reader = self._reader, None
        producer, self._producer = self._producer, None
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(
            *([reader.stop()] if reader is not None else []),
            *([_stop_producer(producer)] if producer is not None else []),
        )
        # Locks belong to the loop they were used in, and the next start may be in another.
        self._producer_change, self._reader_start = asyncio.Lock(), asyncio.Lock()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # -- writing --------------------------------------------------------------------------------------------

    def topic(self, name: str) -> str:
        """The full name of a topic of the contract, such as ``events``."""
        return self.topic_prefix + name

    async def post(self, topic: str, key: str, value: bytes) -> Delivery:
        """Put a record in line; records of one key arrive in the order of these calls.

        Args:
            topic: Name without prefix.
            key: The subject; it decides the partition (murmur2, as the contract asks).
            value: JSON.

        Raises:
            TopicMissing: if the broker does not know the topic.
            DeliveryFailed: if the record is refused before it is sent.
        """
        if self._producer_change.locked():
            async with self._producer_change:
                pass  # a defect producer is being replaced
        producer, name = self._producer, self.topic(topic)
        if producer is None:
            raise NotRunning("the connection")
        try:
            future = await producer.send(name, value, key=key.encode())
        except UnknownTopicOrPartitionError:
            raise TopicMissing(name, self.bootstrap_servers) from None
        except KafkaError as error:
            raise DeliveryFailed(name, key, str(error)) from error
        return Delivery(self, producer, future, name, key)

    async def send(self, topic: str, key: str, value: bytes) -> Place:
        """:meth:`post` a record and wait until the broker has it, and where."""
        return await (await self.post(topic, key, value))

    # -- reading --------------------------------------------------------------------------------------------

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic, in order.

        Raises:
            TopicMissing: if the broker does not know the topic.
        """
        if self._producer is None:
            raise NotRunning("the connection")
        name = self.topic(topic)
        finding = asyncio.ensure_future(self._producer.partitions_for(name))
        try:
            done, _ = await asyncio.wait({finding}, timeout=min(PATIENCE_SECONDS, self._connect_timeout))
            if not done:
                log.warning("waiting for the topic %s at %s", name, self.bootstrap_servers)
            async with asyncio.timeout(max(self._connect_timeout - PATIENCE_SECONDS, 0.0)):
                numbers = await finding
        except (TimeoutError, UnknownTopicOrPartitionError):
            raise TopicMissing(name, self.bootstrap_servers) from None
        finally:
            finding.cancel()
        return [TopicPartition(name, number) for number in sorted(numbers)]

    async def partition_of(self, topic: str, key: str) -> TopicPartition:
        """Where the records of a key are."""
        partitions = await self.partitions(topic)
        return partitions[(murmur2(key.encode()) & 0x7FFFFFFF) % len(partitions)]

    async def reader(self) -> Reader:
        """The shared reader; started with the first call."""
        async with self._reader_start:
            if self._producer is None:
                raise NotRunning("the connection")
            if self._reader is None:
                reader = Reader(self.consumer())
                try:
                    with self.naming_the_broker():
                        await reader.start()
                except BaseException:
                    await reader.stop()
                    raise
                self._reader = reader
            return self._reader

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the log ends now, for each partition."""
        reader = await self.reader()
        with self.naming_the_broker():
            return await reader.end_offsets(partitions)

    async def subscribe(self, subscription: Subscription) -> None:
        (await self.reader()).subscribe(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        if self._reader is not None:
            self._reader.unsubscribe(subscription)

    def position(self, subscription: Subscription) -> int:
        """Offset up to which the subscription has been given everything."""
        return subscription.next if self._reader is None else self._reader.position(subscription)

    def consumer(self) -> AIOKafkaConsumer:
        """A consumer of its own with this connection's settings, unstarted."""
        return AIOKafkaConsumer(
            group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", **self._settings
        )

    async def log_identity(self) -> str:
        """Names the log that offsets and epochs refer to: Kafka's cluster id and the topic prefix."""
        if self._log_identity is None:
            admin = AIOKafkaAdminClient(**self._settings)
            try:
                with self.naming_the_broker():
                    await admin.start()
                    cluster = await admin.describe_cluster()
            finally:
                await admin.close()
            self._log_identity = f"{cluster.get('cluster_id')}/{self.topic_prefix}"
        return self._log_identity

    @contextmanager
    def naming_the_broker(self) -> Iterator[None]:
        """Turn the Kafka client's errors about requests into :class:`BrokerUnavailable`."""
        try:
            yield
        except KafkaError as error:
            raise BrokerUnavailable(self.bootstrap_servers, self._connect_timeout, str(error)) from error

    # -- the producer's life --------------------------------------------------------------------------------

    def _is_connected(self) -> bool:
        """Whether any broker is: aiokafka keeps at least the connection that it asks for metadata."""
        if self._producer is None or self._producer_change.locked():
            return True  # being replaced, which has a deadline and an error of its own
        return any(each.connected() for each in list(self._producer.client._conns.values()))

    async def _start_producer(self) -> AIOKafkaProducer:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._connect_timeout
        told = False
        while True:
            producer = AIOKafkaProducer(
                enable_idempotence=True,
                acks="all",
                linger_ms=LINGER_MS,
                max_request_size=MAX_REQUEST_BYTES,
                max_batch_size=MAX_BATCH_BYTES,
                **self._settings,
            )
            try:
                async with asyncio.timeout_at(give_up + 1.0):
                    await producer.start()
            except (KafkaError, OSError, TimeoutError) as error:
                await _stop_producer(producer)
                if loop.time() >= give_up:
                    raise BrokerUnavailable(
                        self.bootstrap_servers, self._connect_timeout, str(error) or "no answer"
                    ) from error
                if not told and loop.time() >= give_up - self._connect_timeout + PATIENCE_SECONDS:
                    told = True
                    log.warning("waiting for Kafka at %s", self.bootstrap_servers)
                await asyncio.sleep(0.5)
            except BaseException:
                await _stop_producer(producer)
                raise
            else:
                return producer

    async def _replace_producer(self, defect: AIOKafkaProducer) -> None:
        """A batch that an idempotent producer gave up leaves a gap in its sequence numbers, after which the
        broker refuses all it sends to that partition: only a new producer helps. The old one is flushed first,
        so that records keep their order."""
        async with self._producer_change:
            if self._producer is not defect:
                return
            log.warning("the broker refused a record; starting a new producer")
            await _stop_producer(defect)
            self._producer = await self._start_producer()


def checked(connection: Connection | None) -> Connection | None:
    """Refuse what is no connection, such as one of ``coordinator.sync``, before it fails amid work."""
    if connection is not None:
        _limits.instance(
            connection, "connection", Connection, 'one of coordinator, such as Connection("host:9092")'
        )
    return connection


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    """Flush and close, but not for ever: aiokafka itself waits until the broker is back."""
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await producer.stop()
    except TimeoutError:
        log.error("%g s were not enough to send what was waiting; it is lost", FLUSH_SECONDS)
        # The timeout left aiokafka's background task and sockets behind.
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await producer.client.close()
                await producer._sender.close()
