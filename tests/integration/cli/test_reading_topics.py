"""Reading topics on a real Kafka: order, offsets, following, and folding a fleet without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from models.partition import partition_of
from streams.offsets import Span, Start
from streams.reader import Stored, TopicMissing, TopicReader, fold_fleet
from streams.topics import Layout, Partitions, create

Send = Callable[..., Coroutine[object, object, tuple[int, int]]]


@pytest.fixture
async def send(kafka: str, topic_prefix: str) -> AsyncIterator[Send]:
    """Creates the topics; sends a record and tells its offset and append time."""
    await create(kafka, Layout(topic_prefix, topic_prefix.rstrip("."), Partitions(events=3, fleet=2)))
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()

    async def send_one(
        topic: str, value: object, *, key: bytes | None = None, partition: int = 0
    ) -> tuple[int, int]:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        meta = await producer.send_and_wait(topic_prefix + topic, raw, key=key, partition=partition)
        return meta.offset, meta.timestamp

    try:
        yield send_one
    finally:
        await producer.stop()


async def read(kafka: str, prefix: str, topic: str, span: Span) -> list[Stored]:
    async with TopicReader(kafka, prefix) as reader:
        return [record async for record in reader.records(topic, span)]


async def test_records_of_all_partitions_come_in_the_order_of_their_append_times(
    kafka: str, topic_prefix: str, send: Send
) -> None:
    for number in range(30):
        await send("events", {"n": number}, partition=number * 7 % 3)
    records = await read(kafka, topic_prefix, "events", Span(Start("beginning")))
    times = [record.timestamp for record in records]
    assert times == sorted(times)
    assert sorted(orjson.loads(record.value or b"")["n"] for record in records) == list(range(30))
    assert {record.topic for record in records} == {"events"}


async def test_each_kind_of_offset_starts_where_it_says(kafka: str, topic_prefix: str, send: Send) -> None:
    moments = []
    for number in range(6):
        moments.append((await send("events", {"n": number}))[1])
        await asyncio.sleep(0.005)

    async def numbers(start: Start, until: int | None = None) -> list[int]:
        found = await read(kafka, topic_prefix, "events", Span(start, until))
        return [orjson.loads(record.value or b"")["n"] for record in found]

    assert await numbers(Start("end")) == []
    assert await numbers(Start("offset", 4)) == [4, 5]
    assert await numbers(Start("back", 1)) == [5]
    assert await numbers(Start("time", moments[3])) == [3, 4, 5]
    assert await numbers(Start("time", moments[5] + 60_000)) == []
    assert await numbers(Start("time", moments[1]), moments[3]) == [1, 2]


async def test_following_goes_on_with_what_comes_and_misses_nothing_in_between(
    kafka: str, topic_prefix: str, send: Send
) -> None:
    for number in range(3):
        await send("events", {"n": number})
    seen: list[int] = []
    async with TopicReader(kafka, topic_prefix) as reader, asyncio.timeout(30):
        async for record in reader.records("events", Span(Start("back", 1)), follow=True):
            seen.append(orjson.loads(record.value or b"")["n"])
            if len(seen) <= 4:
                await send("events", {"n": 2 + len(seen)}, partition=len(seen) % 3)
            else:
                break
    assert seen == [2, 3, 4, 5, 6]


async def test_a_missing_topic_is_named_and_not_created(kafka: str) -> None:
    async with TopicReader(kafka, "nobodys.") as reader:
        for _ in range(2):
            with pytest.raises(TopicMissing, match=r"no topic nobodys\.events"):
                await reader.extents("events")


async def test_a_fleet_is_folded_from_its_partition_of_the_log_up_to_the_end(
    kafka: str, topic_prefix: str, send: Send
) -> None:
    from models.fleet import views

    place = partition_of(b"north", 2)
    for number, agent in enumerate(("a1", "a2")):
        fact = {
            "type": "agent_registered",
            "source": {"partition": 0, "offset": number, "index": 0},
            "through": 1.0,
            "event": {"type": "agent_registered", "fleet": "north", "agent_id": agent, "slots": 3},
        }
        await send("fleet", fact, key=b"north", partition=place)
    fold, at = await fold_fleet(kafka, topic_prefix, "north")
    assert at == {"topic": f"{topic_prefix}fleet", "partition": place, "offset": 2}
    assert [(agent["agent_id"], agent["slots"]) for agent in views.agents(fold, "north")] == [
        ("a1", 3),
        ("a2", 3),
    ]


async def test_an_empty_log_folds_to_an_empty_fleet(kafka: str, topic_prefix: str, send: Send) -> None:
    from models.fleet import views

    fold, at = await fold_fleet(kafka, topic_prefix, "nobody")
    assert at["offset"] == 0
    assert list(views.agents(fold, "nobody")) == []
