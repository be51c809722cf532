"""What the engine touches of aiokafka's private side, beside reading (``streams.fetching``).

Each function here falls back to the public door, or says what it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder


def tune_consumer(consumer: AIOKafkaConsumer, *, fetch_max_wait: float, fetch_max_bytes: int) -> None:
    """Faust hard-codes a fetch wait of 1.5 s; must be called before ``consumer.start()``."""
    consumer._fetch_max_wait_ms = int(fetch_max_wait * 1000)
    consumer._fetch_max_bytes = fetch_max_bytes


async def abandon_group_join(consumer: AIOKafkaConsumer) -> None:
    """Before ``consumer.stop()``, which waits for a join under way: as long as the slowest member lets it take."""
    coordinating = getattr(consumer._coordinator, "_coordination_task", None)
    if coordinating is not None and not coordinating.done():
        coordinating.cancel()
        await asyncio.wait([coordinating])


async def committed_offsets(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """What the consumer's group has committed of each, or 0. One request; the public door takes one for each."""
    fetch = getattr(consumer._coordinator, "fetch_committed_offsets", None)
    if fetch is None:
        return {partition: await consumer.committed(partition) or 0 for partition in partitions}
    found = await fetch(list(partitions))
    return {
        partition: max(0, found[partition].offset) if partition in found else 0 for partition in partitions
    }


def new_batch(max_bytes: int) -> BatchBuilder:
    """A batch with a size of its own: ``producer.create_batch()`` knows one size for all topics.

    ``append`` returns ``None`` and drops the record when the batch is full; a first record always fits.
    """
    return BatchBuilder(max_bytes, 0)
