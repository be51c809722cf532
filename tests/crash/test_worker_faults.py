"""A whole coordinator under fire: real workers killed, joined and paused on a real Kafka, under load.

Afterwards everything is checked against one uninterrupted cold pass over the recorded log.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.crash.history import History
from tests.crash.load import Load
from tests.crash.worker_process import WorkerProcess

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
EVENTS_PARTITIONS = 4
FLEET_PARTITIONS = 1


async def assert_exact(kafka: str, prefix: str, load: Load, tasks: int) -> None:
    """The promises P1 to P4, over everything that was recorded."""
    history = await History(kafka, prefix, prefix.rstrip(".")).read()

    assert len(load.results) == tasks
    assert [result.task_id for result in load.results if not result.ok] == []
    results = history.results_of_tasks()
    assert len(results) == tasks
    assert {task: len(contents) for task, contents in results.items() if len(contents) != 1} == {}
    assert {id_ for id_, contents in history.contents_of_directives().items() if len(contents) != 1} == set()
    assert {done: times for done, times in load.executions.items() if times != 1} == {}

    history.assert_outputs_are_those_of_a_cold_fold(FLEET_PARTITIONS, EVENTS_PARTITIONS)
    history.assert_tables_are_cold_folds(EVENTS_PARTITIONS, FLEET_PARTITIONS)
    history.assert_every_record_is_accounted_for(EVENTS_PARTITIONS, FLEET_PARTITIONS)
    assert history.topics["dead-letters"] == []


@pytest.mark.timeout(600 if LONG else 240)
async def test_a_worker_that_sleeps_through_its_session_and_wakes_leaves_no_trace(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A zombie with unsaved rows wakes while another owns its partitions; then that one is killed."""
    naps, tasks = (5, 1500) if LONG else (1, 300)
    session = {"COORDINATOR_SESSION_TIMEOUT": "6"}
    sleeper = WorkerProcess(kafka, topic_prefix, tmp_path / "sleeper", **session)
    other = WorkerProcess(kafka, topic_prefix, tmp_path / "other", **session)
    with sleeper, other:
        await asyncio.to_thread(sleeper.wait_ready)
        await asyncio.to_thread(other.wait_ready)
        async with Load(kafka, topic_prefix, agents=6, seed=9) as load:
            work = asyncio.create_task(load.submit(tasks, rate=20, timeout=120))
            for _ in range(naps):
                await asyncio.sleep(3)
                sleeper.signal(signal.SIGSTOP)
                await asyncio.sleep(9)
                sleeper.signal(signal.SIGCONT)
                await asyncio.sleep(3)
                assert sleeper.running, sleeper.log[-3000:]
                await asyncio.to_thread(other.kill)
                other.start()
                await asyncio.to_thread(other.wait_ready)
            await work
        assert "fenced" in sleeper.log, "it never wrote after the other had taken over"
        assert await asyncio.to_thread(other.stop) == 0
        assert await asyncio.to_thread(sleeper.stop) == 0
    await assert_exact(kafka, topic_prefix, load, tasks)
