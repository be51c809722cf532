"""Who is silent, and who only seems so: the coordinator's own absence kills nobody."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from pathlib import Path

import orjson
import pytest

from models.partition import partition_of
from streams.reader import TopicReader
from tests.crash.load import Load
from tests.crash.wire import Wire
from tests.crash.worker_process import WorkerProcess

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))


async def fleet_records(kafka: str, prefix: str, type_: str) -> list[dict[str, object]]:
    async with TopicReader(kafka, prefix) as reader:
        values = [orjson.loads(record.value or b"{}") async for record in reader.records("fleet")]
    return [value for value in values if value["type"] == type_]


@pytest.mark.timeout(900 if LONG else 180)
async def test_a_stopped_coordinator_returns_and_declares_nobody_dead_who_kept_beating(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    longer_than_lost_max = 600 if LONG else 30
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker") as worker:
        await asyncio.to_thread(worker.wait_ready)
        async with Load(kafka, topic_prefix, agents=4, seed=3) as load:
            assert all(result.ok for result in await load.submit(8, rate=20, timeout=30))
            assert await asyncio.to_thread(worker.stop) == 0
            await asyncio.sleep(longer_than_lost_max)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)
            await asyncio.sleep(3)  # a few ticks
            summary = orjson.loads(await asyncio.to_thread(worker.get, "/v1/summary"))
            assert summary["agents"]["available"] == 4
    assert await fleet_records(kafka, topic_prefix, "agent_suspected") == []
    assert await fleet_records(kafka, topic_prefix, "agent_lost") == []


@pytest.mark.timeout(180)
async def test_silent_agents_are_suspected_then_lost_by_ticks_alone_and_their_task_moves(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker") as worker:
        await asyncio.to_thread(worker.wait_ready)
        async with Wire(kafka, topic_prefix) as wire:
            await wire.say({"type": "agent_registered", "agent_id": "a1"})
            await wire.say({"type": "task_submitted", "task_id": "t1"})
            first = await wire.hear("directives", 15, type="assign_task", agent_id="a1")
            await wire.say(
                {
                    "type": "directive_response",
                    "agent_id": "a1",
                    "directive_id": first["directive_id"],
                    "outcome": "accepted",
                }
            )
            # From here on nobody says anything: only ticks are appended.
            await wire.hear("alerts", 60, type="agent_lost", subject="a1")
            await wire.say({"type": "agent_registered", "agent_id": "a2"})
            second = await wire.hear("directives", 15, type="assign_task", agent_id="a2")
            assert second["task_id"] == "t1"
            assert second["epoch"] == first["epoch"] + 1
            assert second["attempt"] == 2
            late = {"type": "directive_response", "agent_id": "a1", "directive_id": first["directive_id"]}
            await wire.say({**late, "outcome": "completed", "result": "too late"})
            await wire.say(
                {
                    "type": "directive_response",
                    "agent_id": "a2",
                    "directive_id": second["directive_id"],
                    "outcome": "completed",
                    "result": "in time",
                }
            )
            result = await wire.hear("results", 15, task_id="t1")
            assert (result["type"], result["result"]) == ("task_completed", "in time")
        assert await asyncio.to_thread(worker.stop) == 0
    suspected = await fleet_records(kafka, topic_prefix, "agent_suspected")
    assert suspected[0]["agent_id"] == "a1"


async def test_beats_that_wait_in_a_partition_without_owner_are_waited_for(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A client that places records in its own way beats into a partition whose worker dies."""
    session = {"COORDINATOR_SESSION_TIMEOUT": "15"}
    stays = WorkerProcess(kafka, topic_prefix, tmp_path / "stays", **session)
    dies = WorkerProcess(kafka, topic_prefix, tmp_path / "dies", **session)
    with stays, dies:
        await asyncio.to_thread(stays.wait_ready)
        await asyncio.to_thread(dies.wait_ready)
        async with Wire(kafka, topic_prefix) as wire:
            await asyncio.to_thread(until_shared, stays, dies)
            owned = positions(dies)
            home_of = {partition_of(f"a{number}".encode(), 4): f"a{number}" for number in range(40)}
            beating = [(home_of[home], owned[0]) for home in positions(stays)]
            assert beating, "each worker owns a part"
            until, killed = asyncio.get_running_loop().time() + 30, False
            while (now := asyncio.get_running_loop().time()) < until:
                if now > until - 22 and not killed:
                    await asyncio.to_thread(dies.kill)
                    killed = True
                for agent_id, partition in beating:
                    beat: dict[str, object] = {
                        "type": "status_update",
                        "agent_id": agent_id,
                        "status": "idle",
                    }
                    await wire.say(beat, partition=partition)
                await asyncio.sleep(1)
        assert await asyncio.to_thread(stays.stop) == 0
    assert await fleet_records(kafka, topic_prefix, "agent_suspected") == []
    assert await fleet_records(kafka, topic_prefix, "agent_lost") == []


def until_shared(*workers: WorkerProcess) -> None:
    """Wait until each owns a part, and all together own everything."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        parts = [positions(worker) for worker in workers]
        if all(parts) and sorted(itertools.chain(*parts)) == [0, 1, 2, 3]:
            return
        time.sleep(0.1)
    raise AssertionError("the partitions were never shared")


def positions(worker: WorkerProcess) -> list[int]:
    """The events partitions that the worker owns."""
    metrics = worker.get("/metrics").decode()
    found = re.findall(r'coordinator_position\{partition="(\d+)",topic="[^"]*events"', metrics)
    return sorted(map(int, found))
