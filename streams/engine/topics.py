"""Checks that topics are there, and that changelogs have the settings without which rows would get lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.engine.checkpoint import CHANGELOG_BATCH_BYTES
from streams.engine.errors import TopicUnfit


async def check_existence(bootstrap_servers: str, topics: Sequence[str]) -> None:
    """Refuse to go on without a topic: a worker whose source was deleted would wait for ever, and look well.

    Raises:
        TopicUnfit: saying which one is missing.
    """
    for topic in await missing_topics(bootstrap_servers, topics):
        raise TopicUnfit(
            topic,
            "is not there any more. Restore it; if its records are gone for good, make it anew and start with "
            "a new application id, for the state is of the old one",
        )


async def missing_topics(bootstrap_servers: str, topics: Sequence[str]) -> list[str]:
    """Those of them that there are not."""
    async with _admin(bootstrap_servers) as admin:
        # All are asked for: asking for one by name could create it.
        known = {description["topic"] for description in await admin.describe_topics()}
    return [topic for topic in topics if topic not in known]


async def check_changelog(bootstrap_servers: str, topic: str, partitions: int) -> None:
    """Refuse a topic that deletes records, is too small for a checkpoint, or is not partitioned as its source.

    Raises:
        TopicUnfit: saying which setting it is.
    """
    async with _admin(bootstrap_servers) as admin:
        [description] = await admin.describe_topics([topic])
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found = len(description["partitions"])
    if found != partitions:
        raise TopicUnfit(
            topic, f"has {found} partitions, its source {partitions}; delete it or rename the app"
        )
    settings = {entry[0]: entry[1] for answer in answers for entry in answer.resources[0][4]}
    policy = settings.get("cleanup.policy", "")
    if policy != "compact":
        raise TopicUnfit(topic, f"has cleanup.policy={policy}; rows need exactly 'compact'")
    size = int(settings.get("max.message.bytes", 0))
    if size < CHANGELOG_BATCH_BYTES:
        raise TopicUnfit(topic, f"has max.message.bytes={size}; set it to {2 * CHANGELOG_BATCH_BYTES}")


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
