"""Creating and checking the coordinator's topics on a real Kafka."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from streams import reader, topics
from streams.errors import BrokerUnreachable
from streams.settings import load_settings
from streams.topics import Layout, Partitions, TopicCreationFailed, TopicsUnfit, real_name


@pytest.fixture
def layout(topic_prefix: str) -> Layout:
    return Layout(prefix=topic_prefix, application=topic_prefix.rstrip("."), partitions=Partitions(3, 2, 5))


async def create_by_hand(bootstrap: str, *wrong: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(list(wrong))
    finally:
        await admin.close()


async def test_created_topics_pass_their_own_check(kafka: str, layout: Layout) -> None:
    created = await topics.create(kafka, layout)
    assert created == list(layout.topics)
    assert await topics.check(kafka, layout) == []


async def test_creating_twice_changes_nothing(kafka: str, layout: Layout) -> None:
    await topics.create(kafka, layout)
    assert await topics.create(kafka, layout) == []


async def test_workers_that_start_together_create_the_topics_once(kafka: str, layout: Layout) -> None:
    created = await asyncio.gather(*(topics.create(kafka, layout) for _ in range(3)))
    assert sorted(name for names in created for name in names) == sorted(layout.topics)
    assert await topics.check(kafka, layout) == []


async def test_every_missing_topic_is_found(kafka: str, layout: Layout) -> None:
    findings = await topics.check(kafka, layout)
    assert [(finding.topic, finding.problem, finding.fatal) for finding in findings] == [
        (name, "missing", True) for name in layout.topics
    ]
    command = f"coordinator topics create -b {kafka} --prefix {layout.prefix}"
    assert {finding.remedy for finding in findings} == {f"Run: {command}"}
    assert str(TopicsUnfit(findings)).count(command) == 1


async def test_wrong_partitions_and_settings_are_found_with_what_to_do(kafka: str, layout: Layout) -> None:
    events, results = real_name(layout.prefix, "events"), real_name(layout.prefix, "results")
    await create_by_hand(
        kafka,
        NewTopic(events, 7, 1, topic_configs={"max.message.bytes": "1000", "cleanup.policy": "compact"}),
        NewTopic(results, 9, 1, topic_configs={"retention.ms": "1000"}),
    )
    await topics.create(kafka, layout)
    findings = {
        (finding.topic, finding.setting or finding.problem): finding
        for finding in await topics.check(kafka, layout)
    }
    assert {key: (f.expected, f.found, f.fatal) for key, f in findings.items()} == {
        (events, "partitions"): ("3", "7", True),
        (events, "cleanup.policy"): ("delete", "compact", True),
        (events, "message.timestamp.type"): ("LogAppendTime", "CreateTime", True),
        (events, "max.message.bytes"): ("2097152", "1000", True),
        (results, "retention.ms"): ("2592000000", "1000", False),
        (results, "message.timestamp.type"): ("LogAppendTime", "CreateTime", False),
    }
    assert "COORDINATOR_EVENTS_PARTITIONS" in str(findings[events, "partitions"])
    assert f"--topic {events} --add-config max.message.bytes=2097152" in str(
        findings[events, "max.message.bytes"]
    )


async def test_the_broker_stamps_events_whatever_time_their_sender_claims(kafka: str, layout: Layout) -> None:
    await topics.create(kafka, layout)
    events = real_name(layout.prefix, "events")
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        sent = await producer.send_and_wait(events, b"{}", timestamp_ms=1000, partition=0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        consumer.assign([TopicPartition(events, 0)])
        consumer.seek(TopicPartition(events, 0), sent.offset)
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert record.timestamp > 1_600_000_000_000


async def test_whatever_fits_into_events_fits_into_dead_letters(kafka: str, layout: Layout) -> None:
    await topics.create(kafka, layout)
    largest = b"x" * (2 * topics.MIB - 200)
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=16 * topics.MIB) as producer:
        await producer.send_and_wait(real_name(layout.prefix, "events"), largest)
        await producer.send_and_wait(real_name(layout.prefix, "dead-letters"), largest, key=b"k" * topics.MIB)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(real_name(layout.prefix, "events"), largest + b"x" * 400)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_events_can_be_read_whatever_codec_their_sender_compresses_with(
    kafka: str, layout: Layout, codec: str
) -> None:
    await topics.create(kafka, layout)
    events = real_name(layout.prefix, "events")
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec) as producer:
        sent = await producer.send_and_wait(events, b"status " * 1000, partition=0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        consumer.assign([TopicPartition(events, 0)])
        consumer.seek(TopicPartition(events, 0), sent.offset)
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert record.value == b"status " * 1000


async def test_a_worker_creates_its_topics_and_refuses_unfit_ones(kafka: str, layout: Layout) -> None:
    settings = load_settings(kafka_bootstrap_servers=kafka, topic_prefix=layout.prefix, events_partitions=3)
    assert await topics.ensure_topics(settings) == []
    with pytest.raises(TopicsUnfit, match="has partitions 3 instead of 4") as refusal:
        await topics.ensure_topics(load_settings(kafka_bootstrap_servers=kafka, topic_prefix=layout.prefix))
    assert {finding.problem for finding in refusal.value.findings} == {"partitions"}


async def test_a_worker_that_may_not_create_topics_says_which_are_missing(kafka: str, layout: Layout) -> None:
    settings = load_settings(kafka_bootstrap_servers=kafka, topic_prefix=layout.prefix, create_topics=False)
    with pytest.raises(TopicsUnfit) as refusal:
        await topics.ensure_topics(settings)
    assert len(refusal.value.findings) == len(layout.topics)


async def test_more_replicas_than_brokers_are_refused_in_kafkas_words(kafka: str, layout: Layout) -> None:
    with pytest.raises(TopicCreationFailed, match="COORDINATOR_REPLICATION_FACTOR") as failure:
        await topics.create(kafka, layout, replication=500)
    assert "500" in failure.value.reason


async def test_no_broker_is_an_error_that_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "CONNECT_TIMEOUT", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BrokerUnreachable, match=address):
            await topics.check(address, Layout())


async def test_a_broker_that_takes_connections_and_says_nothing_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (topics, reader):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        address = f"127.0.0.1:{frozen.getsockname()[1]}"
        complaint = f"no Kafka answers at {address} within"
        async with asyncio.timeout(10):
            with pytest.raises(BrokerUnreachable, match=complaint):
                await topics.check(address, Layout())
            with pytest.raises(BrokerUnreachable, match=complaint):
                await reader.TopicReader(address, "coordinator.").__aenter__()
