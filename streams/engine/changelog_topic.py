"""Checks that a changelog topic has the settings without which rows would get lost."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.engine.checkpoint import CHANGELOG_BATCH_BYTES
from streams.engine.errors import TopicUnfit


async def check_changelog(bootstrap_servers: str, topic: str, partitions: int) -> None:
    """Refuse a topic that deletes records, is too small for a checkpoint, or is not partitioned as its source.

    Raises:
        TopicUnfit: saying which setting it is.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        [description] = await admin.describe_topics([topic])
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
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
