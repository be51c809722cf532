"""Who is silent, and who only seems so: the coordinator's own absence kills nobody."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import orjson
import pytest

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
