"""How outputs get into Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.fold import Output
from streams.engine.producer import EngineProducer
from streams.topics import Layout, create


class CountingProducer(EngineProducer):
    requests = 0

    async def submit(self, topic: str, partition: int, messages: Iterable[Any], max_bytes: int) -> Any:
        self.requests += 1
        return await super().submit(topic, partition, messages, max_bytes)


async def test_outputs_of_many_small_folds_share_requests_and_keep_their_order(
    kafka: str, topic_prefix: str
) -> None:
    await create(kafka, Layout(topic_prefix, topic_prefix.rstrip(".")))
    producer = CountingProducer(kafka, topic_prefix=topic_prefix, request_timeout=30)
    await producer.start()
    order = asyncio.Lock()
    values = [b"%d" % number for number in range(500)]
    await asyncio.gather(
        *(producer.send_outputs([Output("results", None, value, (), 0)], order, 0) for value in values)
    )
    requests = producer.requests
    await producer.stop()
    place = TopicPartition(f"{topic_prefix}results", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([place])
        read: list[bytes | None] = []
        while len(read) < len(values):
            read += [
                record.value for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
            ]
    assert read == values
    assert requests < 50, "each a round trip: five hundred of them take seconds"
