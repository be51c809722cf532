"""A whole coordinator on a machine that goes wrong under load: its clock, then its disk.

Afterwards everything is checked against one uninterrupted cold pass over the recorded log.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.crash.history import History
from tests.crash.load import Load
from tests.crash.test_silence import fleet_records
from tests.crash.test_worker_faults import assert_exact
from tests.crash.worker_process import WorkerProcess
from tests.support.faulty_machine import FaultyMachine

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
HOUR = 3_600 * 10**9


@pytest.mark.timeout(600 if LONG else 240)
async def test_a_jumping_clock_and_then_a_read_only_disk_leave_no_trace_in_what_agents_are_told(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    tasks = 1_500 if LONG else 120
    started = time.time()
    machine = FaultyMachine(tmp_path, tmp_path / "worker")
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker", **machine.environment) as worker:
        await asyncio.to_thread(worker.wait_ready)
        async with Load(kafka, topic_prefix, agents=6, seed=11) as load:
            work = asyncio.create_task(load.submit(tasks, rate=40, timeout=120))
            for ahead in (3 * HOUR, -3 * HOUR, 24 * HOUR, 0):
                await asyncio.sleep(tasks / 40 / 6)
                machine.order(clock_ahead_ns=ahead)
            machine.order(read_only=1)
            await work
        assert b"Read-only file system" in await asyncio.to_thread(worker.get, "/v1/status")
        assert await asyncio.to_thread(worker.stop) == 0, worker.log[-3000:]

        (tmp_path / "worker" / "http").unlink()
        worker.start()
        assert await asyncio.to_thread(worker.wait_ended, 60) == 2
        words = worker.log.splitlines()[-1]
        assert f"the data directory {tmp_path / 'worker'} cannot be used: Read-only file system" in words
    assert worker.log.count('"phase": "rebalancing"') == 0, "nobody took it for dead"
    await assert_exact(kafka, topic_prefix, load, tasks)
    for kind in ("agent_suspected", "agent_lost"):
        assert await fleet_records(kafka, topic_prefix, kind) == []
    # Kafka deletes, compacts and refuses records by these.
    history = await History(kafka, topic_prefix, topic_prefix.rstrip(".")).read()
    stamps = [record.timestamp / 1000 for records in history.topics.values() for record in records]
    assert started - 60 < min(stamps) <= max(stamps) < time.time() + 60
