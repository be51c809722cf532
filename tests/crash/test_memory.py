"""A worker that may take no more memory: it ends soon, and the next one goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from tests.crash.history import History
from tests.crash.test_worker_faults import EVENTS_PARTITIONS, FLEET_PARTITIONS
from tests.crash.worker_process import WorkerProcess

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
RECORDS = 40
LARGE = 900_000
MIB = 1 << 20


@pytest.mark.parametrize("room", [0, MIB, 4 * MIB, 8 * MIB, 20 * MIB, 30 * MIB] if LONG else [8 * MIB])
async def test_a_worker_without_memory_ends_and_the_next_one_is_exact(
    kafka: str, topic_prefix: str, tmp_path: Path, room: int
) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker") as worker:
        await asyncio.to_thread(worker.wait_ready)
        allow(worker, room)
        async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=20) as producer:
            for number in range(RECORDS):
                beat = b'{"type":"status_update","agent_id":"a%d","status":"idle"}' % number
                await producer.send(f"{topic_prefix}events", beat.ljust(LARGE))
            await producer.flush()
        status = await asyncio.to_thread(worker.wait_ended, 30)
        # Some libraries end a process that finds no memory by a signal, at once.
        assert status < 0 or (status == 1 and "there is no memory left" in worker.log), worker.log[-3000:]
        worker.start()
        await asyncio.to_thread(worker.wait_ready)
        await asyncio.to_thread(until_known, worker)
        assert await asyncio.to_thread(worker.stop) == 0
    history = await History(kafka, topic_prefix, topic_prefix.rstrip(".")).read()
    history.assert_tables_are_cold_folds(EVENTS_PARTITIONS, FLEET_PARTITIONS)
    history.assert_every_record_is_accounted_for(EVENTS_PARTITIONS, FLEET_PARTITIONS)
    assert history.topics["dead-letters"] == [], "a good record is a bad one nowhere"


def allow(worker: WorkerProcess, room: int) -> None:
    """Let it take so many bytes of address space more than it has."""
    status = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    (size,) = [int(line.split()[1]) << 10 for line in status if line.startswith("VmSize")]
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))


def until_known(worker: WorkerProcess) -> None:
    """Wait until every agent has been folded."""
    deadline = time.monotonic() + 30
    while len(orjson.loads(worker.get("/v1/agents?limit=1000"))["agents"]) < RECORDS:
        assert time.monotonic() < deadline, worker.log[-3000:]
        time.sleep(0.1)
