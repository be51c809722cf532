"""A coordinator's topics, a peer in its place, and a connection of the SDK, all on the real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from coordinator import Connection
from streams import topics
from tests.integration.sdk.peer import Peer


@pytest.fixture
async def peer(kafka: str, topic_prefix: str) -> AsyncIterator[Peer]:
    layout = topics.Layout(prefix=topic_prefix, application=topic_prefix + "app")
    await topics.create(kafka, layout)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(topic_prefix + "events", number) for number in range(4)])
    try:
        yield Peer(producer, consumer, topic_prefix)
    finally:
        await asyncio.gather(producer.stop(), consumer.stop())


@pytest.fixture
async def connection(kafka: str, topic_prefix: str, peer: Peer) -> AsyncIterator[Connection]:
    async with Connection(kafka, topic_prefix=topic_prefix) as opened:
        yield opened
