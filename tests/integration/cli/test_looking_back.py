"""Replays and verifications on a real Kafka, as people run them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer

from models.fleet import FleetFold
from streams.offsets import BEGINNING
from streams.reader import Stored, TopicReader
from streams.topics import Layout, Partitions, create
from tests.unit.models.fleet.log import FleetLog

OUTPUTS = ("directives", "results", "alerts")


def run(kafka: str, prefix: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", *arguments, "-b", kafka, "--prefix", prefix]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=directory, check=False)


async def read(kafka: str, prefix: str, topic: str) -> list[Stored]:
    async with TopicReader(kafka, prefix) as reader:
        return [record async for record in reader.records(topic, BEGINNING)]


async def recorded(kafka: str, prefix: str) -> list[Stored]:
    """A fleet log on Kafka, without events; what stands there."""
    log = FleetLog()
    log.agent("a1", slots=4)
    for number in range(5):
        log.answer(log.run(f"t{number}"), "completed" if number % 2 else "failed", result=number)
    log.fact("task_cancelled", task_id="nobody")
    await create(kafka, Layout(prefix, prefix.rstrip("."), Partitions(events=1, fleet=1, directives=3)))
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for record in log.log:
        await producer.send_and_wait(f"{prefix}fleet", record.value, key=b"default", partition=0)
    await producer.stop()
    return await read(kafka, prefix, "fleet")


async def test_a_replay_into_other_topics_gives_the_same_bytes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = await recorded(kafka, topic_prefix)
    expected = FleetFold(0, 1, f"{topic_prefix}fleet").fold(log)
    again = f"{topic_prefix}again."
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "replay", "--into", again)
    assert told.returncode == 0, told.stderr
    assert "outputs appended" in told.stderr
    for topic in OUTPUTS:
        found = await read(kafka, again, topic)
        wanted = [(one.key, one.value, tuple(one.headers)) for one in expected if one.topic == topic]
        assert wanted
        assert sorted((one.key, one.value, tuple(one.headers)) for one in found) == sorted(wanted)
        assert await read(kafka, topic_prefix, topic) == [], "the history itself is as it was"
    twice = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "replay", "--into", again)
    assert twice.returncode == 2
    assert "has records already" in twice.stderr


async def test_a_replay_can_be_piped_from_anywhere_to_anywhere(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = await recorded(kafka, topic_prefix)
    command = ("replay", "--from", "5", "--to", "-3", "--json")
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command)
    assert told.returncode == 0, told.stderr
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["offset"] for line in lines] == [record.offset for record in log][5:-3]
    fold = FleetFold(0, 1, f"{topic_prefix}fleet")
    fold.fold(log[:5])
    brought = [len(fold.fold([record])) for record in log[5:-3]]
    assert [len(line["brings"]) for line in lines] == brought
    assert sum(brought) > 3


async def test_what_nobody_said_is_found(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """The fleet log has facts, and the events from which they should stem are none."""
    await recorded(kafka, topic_prefix)
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "verify", "--json")
    assert told.returncode == 1, told.stderr
    report = json.loads(told.stdout)
    assert not report["verified"]
    assert {(one["check"], one["reason"]) for one in report["findings"]} >= {("facts", "added")}
    shown = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "verify")
    assert "not verified" in shown.stdout
