"""What cannot be made right stops the worker with a reason; what can be is made right by the next start."""

from __future__ import annotations

import asyncio
import random
import re
import shutil

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.engine.changelog import fence_key
from streams.engine.store import LocalStore
from tests.integration.engine.harness import (
    PARTITIONS,
    AdminClient,
    Lab,
    Worker,
    fold_all,
    numbered,
    total_position,
)


async def ends_with(worker: Worker, reason: str) -> None:
    assert await worker.exit_status() != 0
    assert reason in worker.log, worker.log[-3000:]


async def test_a_fold_that_raises_stops_the_worker_at_once_and_saves_nothing_of_it(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(500))
    worker = Worker(lab, "a")
    await worker.until(lambda status: total_position(status, "first") == 500)
    await lab.produce(
        [*numbered(20, start=500), {"k": "bad", "n": 1, "boom": True}, *numbered(20, start=520)]
    )
    await ends_with(worker, "the fold raised on records")
    await ends_with(Worker(lab, "a"), "the fold raised on records")
    fixed = Worker(lab, "a", DEFUSE="1")
    await lab.everything_is_exact(fixed)
    await fixed.stop()


async def test_outputs_that_kafka_refuses_stop_the_worker_and_come_again_after_a_restart(lab: Lab) -> None:
    await lab.create_topics(fleet_max_bytes=100_000)
    await lab.produce(numbered(300))
    await lab.produce([{"k": "big", "n": 1, "padding": 200_000}])
    await ends_with(Worker(lab, "a"), "was not acknowledged")
    async with AdminClient(lab.bootstrap) as admin:
        name = lab.prefix + "fleet"
        bigger = {"max.message.bytes": str(4 << 20)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=bigger)])
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()


async def test_records_as_big_as_the_contract_allows_go_through(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(50))
    await lab.produce(
        [
            {"k": "wide", "n": 1, "filler": "x" * 2_000_000},
            {"k": "tall", "n": 2, "padding": 4_000_000},
            *numbered(50, start=50),
        ]
    )
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    assert max(len(record.value) for record in await lab.read("fleet")) > 4_000_000
    await worker.stop()


async def test_unread_records_that_retention_deleted_stop_the_start(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await worker.until(lambda status: total_position(status, "first") == 400)
    await worker.stop()
    await lab.produce(numbered(400))
    await delete_all_records(lab, "events")
    await ends_with(Worker(lab, "a"), "were deleted before they were folded")


async def test_a_recreated_topic_stops_the_start(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await worker.until(lambda status: total_position(status, "first") == 400)
    await worker.stop()
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([lab.prefix + "events"])
        await asyncio.sleep(1)
        await admin.create_topics([NewTopic(lab.prefix + "events", 4, 1)])
    await ends_with(Worker(lab, "a"), "the topic was recreated")


async def test_retention_that_overtakes_a_running_worker_stops_it(lab: Lab) -> None:
    """aiokafka would go on at the beginning of what is left, without a word."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a", SESSION_TIMEOUT="30")
    await lab.everything_is_exact(worker)
    worker.pause()
    await asyncio.sleep(1)  # until the broker has answered what it was asked for
    await lab.produce(numbered(400))
    await delete_all_records(lab, "events")
    await lab.produce(numbered(40))
    worker.resume()
    assert await worker.exit_status() == 1
    lost = re.search(r"records (\d+) to (\d+) were deleted before they were folded", worker.log)
    assert lost is not None, worker.log[-3000:]
    assert 0 < int(lost[1]) <= int(lost[2]), "it says from where to where"


async def test_a_topic_that_is_deleted_under_a_running_worker_stops_it(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([lab.prefix + "events"])
    await ends_with(worker, "is not there any more")


async def test_a_changelog_that_is_deleted_under_a_running_worker_stops_it_and_is_made_anew(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a", DELIVERY_TIMEOUT="8")
    await lab.everything_is_exact(worker)
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([f"{lab.prefix}app-first-changelog"])
    await lab.produce(numbered(400))
    await ends_with(worker, "app-first-changelog: was deleted under this worker")
    assert "Event loop is closed" not in worker.log
    again = Worker(lab, "a")
    await lab.everything_is_exact(again)
    await again.stop()


async def test_a_topic_that_is_recreated_under_a_running_worker_stops_it(lab: Lab) -> None:
    """Its records have offsets that were folded already, of other ones."""
    await lab.create_topics()
    await lab.produce(numbered(4_000))
    worker = Worker(lab, "a", SESSION_TIMEOUT="30")
    await lab.everything_is_exact(worker)
    worker.pause()
    await asyncio.sleep(1)
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([lab.prefix + "events"])
        await asyncio.sleep(1)
        await admin.create_topics([NewTopic(lab.prefix + "events", 4, 1)])
    await lab.produce(numbered(400))
    worker.resume()
    await ends_with(worker, "the topic was recreated")


async def test_a_lost_changelog_is_folded_anew_while_the_log_is_whole(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([f"{lab.prefix}app-first-changelog"])
    again = Worker(lab, "a")
    await lab.everything_is_exact(again)
    assert "local store rebuilt" in again.log
    await again.stop()


async def test_a_lost_changelog_stops_the_start_when_the_log_has_forgotten_its_beginning(lab: Lab) -> None:
    """The local store is the only place then that has the state, and must not be rebuilt."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()
    expected = fold_all(await lab.read("events"))
    await delete_all_records(lab, "events")
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([f"{lab.prefix}app-first-changelog"])
    for _ in range(2):
        await ends_with(Worker(lab, "a"), "holds no checkpoint any more")
    rows = 0
    for partition in range(PARTITIONS["events"]):
        store = LocalStore(worker.directory / "data" / "folds" / "first" / str(partition), "first", partition)
        snapshot = store.load()
        store.close()
        assert snapshot is not None
        rows += len(snapshot.rows)
    assert rows == len(expected)


async def test_a_lost_changelog_stops_the_start_when_nobody_has_the_state_any_more(lab: Lab) -> None:
    """What the group has committed is the last that tells it from a first start, with no rows."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()
    shutil.rmtree(worker.directory / "data")
    await delete_all_records(lab, "events")
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([f"{lab.prefix}app-first-changelog"])
    for _ in range(2):
        await ends_with(Worker(lab, "a"), "has committed offset")


async def test_a_first_start_may_find_a_log_without_its_beginning(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    await delete_all_records(lab, "events")
    await lab.produce(numbered(400, start=400))
    worker = Worker(lab, "a")
    await worker.until(lambda status: total_position(status, "first") == 800)
    assert "first start does not see the whole log" in worker.log
    await worker.stop()


async def test_a_changelog_that_would_delete_rows_stops_the_start(lab: Lab) -> None:
    await lab.create_topics()
    async with AdminClient(lab.bootstrap) as admin:
        await admin.create_topics([NewTopic(f"{lab.prefix}app-first-changelog", 4, 1)])
    await ends_with(Worker(lab, "a"), "rows need exactly 'compact'")


async def test_a_topic_with_another_number_of_partitions_stops_the_start(lab: Lab) -> None:
    await lab.create_topics()
    async with AdminClient(lab.bootstrap) as admin:
        await admin.create_partitions({lab.prefix + "events": NewPartitions(6)})
    await ends_with(Worker(lab, "a"), "has 6 partitions, declared are 4")


async def test_a_damaged_local_store_is_rebuilt_and_nothing_is_missing(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(2000, keys=500))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()
    rng = random.Random(1)
    for path in (worker.directory / "data" / "folds").rglob("*"):
        if path.is_file() and path.stat().st_size > 100:
            damaged = bytearray(path.read_bytes())
            for _ in range(8):
                damaged[rng.randrange(len(damaged))] ^= 0xFF
            path.write_bytes(damaged)
    again = Worker(lab, "a")
    await lab.everything_is_exact(again)
    assert "local store rebuilt" in again.log
    await again.stop()


async def test_a_local_store_of_another_cluster_is_never_believed(lab: Lab) -> None:
    """Not even if it is not ahead of the changelog, and if its rows are good ones: of another log."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()
    logs = [lab.prefix + topic for topic in ("events", "fleet", "out")]
    application = f"{lab.prefix}app"
    changelogs = {f"{application}-first-changelog": 4, f"{application}-second-changelog": 2}
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_topics([*logs, *changelogs])
        await asyncio.sleep(1)
        await lab.create_topics()
        config = {"cleanup.policy": "compact", "max.message.bytes": str(8 << 20)}
        await admin.create_topics(
            [NewTopic(name, count, 1, topic_configs=config) for name, count in changelogs.items()]
        )
    lab.sent = 0
    producer = AIOKafkaProducer(bootstrap_servers=lab.bootstrap)
    await producer.start()
    for name, count in changelogs.items():
        for partition in range(count):
            for _ in range(500):  # owners came and went, and none had anything to save
                await producer.send(name, key=fence_key(), value=b"{}", partition=partition)
    await producer.stop()
    await lab.produce(numbered(1000, start=5000))
    again = Worker(lab, "a")
    await lab.everything_is_exact(again)
    assert "local store rebuilt" in again.log
    await again.stop()


async def test_an_owner_that_is_fenced_and_never_told_stops(lab: Lab) -> None:
    """Somebody outside the group took the partitions: a restart is better than two owners."""
    await lab.create_topics()
    worker = Worker(lab, "a", SESSION_TIMEOUT="6")
    await worker.until(lambda status: status["tables"]["first"]["checkpoints"] >= 4)
    producer = AIOKafkaProducer(bootstrap_servers=lab.bootstrap)
    await producer.start()
    await producer.send_and_wait(f"{lab.prefix}app-first-changelog", b"{}", fence_key(), partition=0)
    await producer.stop()
    await lab.produce(numbered(200))
    await ends_with(worker, "another worker took over")


async def test_the_public_fetch_path_is_as_exact_as_the_fast_one(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(3000))
    worker = Worker(lab, "a", READER="public")
    await lab.everything_is_exact(worker)
    await worker.stop()


async def test_what_the_shell_appends_is_folded_once_the_partition_has_caught_up(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(100))
    worker = Worker(lab, "a", APPEND="1")
    status = await worker.until(lambda status: "appended" in status)
    assert status["opened"] == [0, 1, 2, 3]
    partition, offset = status["appended"]
    assert offset >= status["was_at"], "it was appended behind what was there"
    await worker.until(lambda status: total_position(status, "first") == 101)
    assert any(
        (record.partition, record.offset) == (partition, offset) and b"shell" in record.value
        for record in await lab.read("events")
    )
    await worker.stop()


async def delete_all_records(lab: Lab, topic: str) -> None:
    """As retention does it."""
    async with AdminClient(lab.bootstrap) as admin:
        await admin.delete_records(
            {
                TopicPartition(lab.prefix + topic, partition): RecordsToDelete(before_offset=end)
                for partition, end in (await ends(lab, topic, PARTITIONS[topic])).items()
            }
        )


async def ends(lab: Lab, topic: str, partitions: int) -> dict[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=lab.bootstrap)
    await consumer.start()
    found = await consumer.end_offsets([TopicPartition(lab.prefix + topic, p) for p in range(partitions)])
    await consumer.stop()
    return {at.partition: end for at, end in found.items()}
