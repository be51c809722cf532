"""What other workers have committed, told without holding up anything."""

from __future__ import annotations

import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from streams.engine.group_progress import GroupProgress
from tests.integration.engine.harness import AdminClient


async def test_committed_offsets_and_ends_of_anybodys_partitions(kafka: str, topic_prefix: str) -> None:
    topic, group = f"{topic_prefix}events", f"{topic_prefix}group"
    async with AdminClient(kafka) as admin:
        await admin.create_topics([NewTopic(topic, 3, 1, topic_configs={})])
    progress = GroupProgress(kafka, group)
    try:
        assert await progress.look(topic, [0, 2]) == {0: (0, 0), 2: (0, 0)}
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id=group, enable_auto_commit=False
        ) as member:
            member.assign([TopicPartition(topic, number) for number in range(3)])
            await member.commit({TopicPartition(topic, 1): 5, TopicPartition(topic, 2): 6})
        assert await progress.look(topic, [0, 1, 2]) == {0: (0, 0), 1: (5, 0), 2: (6, 0)}
    finally:
        await progress.stop()


async def test_a_partition_without_leader_leaves_it_unknown_soon_and_only_as_long(
    kafka: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}events"
    async with AdminClient(kafka) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={})])
    progress = GroupProgress(kafka, f"{topic_prefix}group")
    try:
        started = time.monotonic()
        assert await progress.look(topic, [0, 7]) is None
        assert time.monotonic() - started < 10, "it must not wait for one as long as a request may take"
        assert await progress.look(topic, [0]) == {0: (0, 0)}
    finally:
        await progress.stop()


async def test_no_broker_leaves_it_unknown() -> None:
    progress = GroupProgress("127.0.0.1:1", "nobody")
    assert await progress.look("events", [0]) is None
    await progress.stop()
