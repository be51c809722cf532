"""A changelog that Kafka really compacts, again and again, under load and kills: what is left gives the state."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.kafka import LocalKafka
from tests.integration.engine.harness import PARTITIONS, AdminClient, Lab, Worker, numbered

COMPACTION_LAG = 4_000
"""Milliseconds within which the next owner has repaired what a killed one has torn."""


class EagerKafka(LocalKafka):
    """Looks for something to compact all the time, and not every 15 seconds."""

    def _write_configuration(self, port: int) -> None:
        super()._write_configuration(port)
        with self.directory.server_properties.open("a") as file:
            file.write("log.cleaner.backoff.ms=200\nlog.initial.task.delay.ms=100\n")


def changelogs(lab: Lab) -> dict[str, int]:
    """Full names, and partitions."""
    return {
        f"{lab.prefix}app-{table}-changelog": PARTITIONS[source]
        for table, source in (("first", "events"), ("second", "fleet"))
    }


async def compact_eagerly(lab: Lab) -> None:
    eagerly = {
        "min.compaction.lag.ms": str(COMPACTION_LAG),
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "500",
        "cleanup.policy": "compact",
        "max.message.bytes": str(8 << 20),
    }
    async with AdminClient(lab.bootstrap) as admin:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, configs=eagerly) for name in changelogs(lab)
        ]
        await admin.alter_configs(resources)


async def forgotten(lab: Lab) -> int:
    """Records of the changelogs that compaction has removed."""
    async with AIOKafkaConsumer(bootstrap_servers=lab.bootstrap, auto_offset_reset="earliest") as consumer:
        places = [
            TopicPartition(name, number) for name, count in changelogs(lab).items() for number in range(count)
        ]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        await consumer.seek_to_beginning()
        kept = 0
        while any([await consumer.position(place) < ends[place] for place in places]):
            kept += sum(len(records) for records in (await consumer.getmany(timeout_ms=200)).values())
        return sum(ends.values()) - kept


@pytest.mark.timeout(240)
async def test_a_changelog_under_compaction_gives_the_state_whatever_happens_to_its_owners(
    tmp_path: Path, topic_prefix: str
) -> None:
    chance = random.Random(11)
    with EagerKafka(tmp_path / "kafka") as broker:
        lab = Lab(broker.bootstrap, topic_prefix, tmp_path)
        await lab.create_topics()
        worker = Worker(lab, "a", INSTANCE="a")
        await worker.running()
        await compact_eagerly(lab)
        for _ in range(4):
            for _ in range(8):
                await lab.produce(numbered(40, start=lab.sent))
                await asyncio.sleep(chance.uniform(0.1, 0.4))
            await worker.kill()
            worker = Worker(lab, "a", INSTANCE="a")
        await lab.everything_is_exact(worker)
        await worker.stop()
        assert await forgotten(lab) > 200
        shutil.rmtree(worker.directory / "data" / "folds")
        from_what_is_left = Worker(lab, "a", INSTANCE="a")
        await lab.everything_is_exact(from_what_is_left)
        await from_what_is_left.stop()
        await lab.end()
