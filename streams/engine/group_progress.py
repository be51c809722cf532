"""How far the group has come in partitions that are not this worker's, as its owners' commits show it.

On a connection of its own: brokers that do not answer and partitions without leader must hold up nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.aiokafka_internals import committed_offsets

log = logging.getLogger("coordinator.engine")

_PATIENCE = 1.5


class GroupProgress:
    """Looks at committed offsets and ends of partitions; joins nothing and commits nothing.

    Args:
        bootstrap_servers: Kafka.
        group: The consumer group.
    """

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._unknown: str | None = None

    async def look(self, topic: str, partitions: Sequence[int]) -> dict[int, tuple[int, int]] | None:
        """Committed offset and end of each partition; ``None`` if that cannot be told now."""
        places = [TopicPartition(topic, partition) for partition in partitions]
        try:
            async with asyncio.timeout(_PATIENCE):
                consumer = await self._connected()
                # In this order: what is appended in between counts as not committed.
                committed = await committed_offsets(consumer, places)
                ends = await consumer.end_offsets(places)
        except (KafkaError, TimeoutError) as error:
            self._report(repr(error))
            return None
        self._report(None)
        return {place.partition: (committed[place], ends[place]) for place in places}

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap_servers, group_id=self._group, enable_auto_commit=False
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    def _report(self, reason: str | None) -> None:
        """Say so once, not every second."""
        if (reason is None) != (self._unknown is None):
            if reason is None:
                log.info("progress of other workers is known again")
            else:
                log.info("progress of other workers is unknown", extra={"reason": reason})
        self._unknown = reason
