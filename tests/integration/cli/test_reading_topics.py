"""Reading topics on a real Kafka: order, offsets, following, and folding a fleet without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from models.partition import partition_of
from streams.audit.history import KafkaHistory
from streams.audit.moments import NOW, Moment, parse_moment
from streams.audit.past import HistoryIncomplete, Log, Past
from streams.audit.past import fleet_at as past_of
from streams.errors import ConfigurationError
from streams.offsets import Span, Start
from streams.reader import Stored, TopicMissing, TopicReader
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


async def fleet_at(kafka: str, prefix: str, fleet: str, moment: Moment = NOW) -> Past:
    async with KafkaHistory(kafka, prefix) as history:
        return await past_of(await Log.of(history, fleet), moment)


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
    past = await fleet_at(kafka, topic_prefix, "north")
    at = past.at
    assert (at["topic"], at["partition"], at["offset"]) == (f"{topic_prefix}fleet", place, 2)
    assert [(agent["agent_id"], agent["slots"]) for agent in views.agents(past.fold, "north")] == [
        ("a1", 3),
        ("a2", 3),
    ]


async def test_an_empty_log_folds_to_an_empty_fleet(kafka: str, topic_prefix: str, send: Send) -> None:
    from models.fleet import views

    past = await fleet_at(kafka, topic_prefix, "nobody")
    assert (past.at["offset"], past.at["time"]) == (0, None)
    assert list(views.agents(past.fold, "nobody")) == []


async def test_a_fleet_as_it_was_at_each_kind_of_moment(kafka: str, topic_prefix: str, send: Send) -> None:
    place = partition_of(b"north", 2)
    appended: list[int] = []
    for number in range(4):
        fact = {
            "type": "agent_registered",
            "source": {"partition": 0, "offset": number, "index": 0},
            "through": 1.0,
            "event": {"type": "agent_registered", "fleet": "north", "agent_id": f"a{number}"},
        }
        appended.append((await send("fleet", fact, key=b"north", partition=place))[1])
        await asyncio.sleep(0.005)
    for partition, through in ((0, 200.0), (1, 100.0), (2, 90.0), (2, 110.0)):
        tick = {"type": "clock_ticked", "partition": partition, "through": through}
        await send("fleet", tick, partition=place)

    async def agents(moment: str) -> int:
        past = await fleet_at(kafka, topic_prefix, "north", parse_moment(moment))
        return 0 if "north" not in past.fold.state.fleets else len(past.fold.state.fleets["north"].agents)

    async def offset(moment: str) -> object:
        return (await fleet_at(kafka, topic_prefix, "north", parse_moment(moment))).at["offset"]

    assert [await agents(moment) for moment in ("now", "beginning", "3", "-6", f"s@{appended[2]}")] == [
        4,
        0,
        3,
        2,
        2,
    ]
    assert await agents(f"{topic_prefix}fleet/{place}@1") == 1
    assert await agents("north.3.0") == 3, "just before the record that put it out"
    # Five seconds are the default lateness: what happened by 90 s is complete when all are beyond 95.
    assert [await offset(f"event:1970-01-01T00:01:{second}Z") for second in (24, 26, 35, 45)] == [7, 8, 8, 8]
    now = await fleet_at(kafka, topic_prefix, "north")
    assert now.cut.cluster
    assert await agents(str(now.cut)) == 4
    for wrong, complaint in (
        ("9", "ends at offset 8, before 9"),
        (f"elsewhere:{topic_prefix}fleet/{place}@1", "of the cluster elsewhere"),
        (f"{topic_prefix}fleet/{1 - place}@1", "does not say where"),
        ("south.3.0", "of the fleet 'south'"),
    ):
        with pytest.raises(ConfigurationError, match=complaint):
            await agents(wrong)


async def test_a_log_without_its_beginning_is_not_folded(kafka: str, topic_prefix: str, send: Send) -> None:
    place = partition_of(b"north", 2)
    for _ in range(3):
        await send("fleet", {}, partition=place)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(f"{topic_prefix}fleet", place): RecordsToDelete(2)})
    await admin.close()
    with pytest.raises(HistoryIncomplete, match="begins at offset 2"):
        await fleet_at(kafka, topic_prefix, "north")
