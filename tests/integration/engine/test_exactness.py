"""P2: after any crash, restart, rebalance or zombie, state and outputs equal those of one uninterrupted pass."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.engine.harness import Lab, Worker, numbered, total_position

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
"""The long form: more kills, more rounds."""


async def test_two_folds_in_a_row_count_every_event_once(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(3000))
    worker = Worker(lab, "a")
    await lab.everything_is_exact(worker)
    await worker.stop()


@pytest.mark.timeout(600 if LONG else 120)
async def test_kill_9_under_load_loses_and_doubles_nothing(lab: Lab) -> None:
    kills, random_ = (20 if LONG else 3), random.Random(1)
    await lab.create_topics()
    producing = asyncio.ensure_future(lab.produce(numbered(1000 * (kills + 6)), per_second=300))
    for kill in range(kills):
        worker = Worker(lab, "a", INSTANCE="a")
        await worker.until(lambda status: status["tables"]["first"]["checkpoints"] > 0)
        await asyncio.sleep(random_.uniform(0.0, 1.5))
        await worker.kill()
        if kill == 1:
            shutil.rmtree(worker.directory / "data")  # and its disk is lost, too
    producing.cancel()
    await asyncio.wait([producing])
    survivor = Worker(lab, "a", INSTANCE="a")
    lab.sent = len(await lab.read("events"))
    await lab.everything_is_exact(survivor)
    await survivor.stop()


@pytest.mark.timeout(600 if LONG else 120)
async def test_rows_that_memory_has_no_room_for_count_like_all_others(lab: Lab) -> None:
    """Five rows of a hundred for each partition, and no more after any start."""
    kills, random_ = (20 if LONG else 2), random.Random(2)
    await lab.create_topics()
    producing = asyncio.ensure_future(lab.produce(numbered(1000 * (kills + 6), keys=400), per_second=300))
    for _ in range(kills):
        worker = Worker(lab, "a", INSTANCE="a", CACHE_SIZE="20")
        await worker.until(lambda status: cold_rows(status) > 200)
        await asyncio.sleep(random_.uniform(0.0, 1.5))
        await worker.kill()
    producing.cancel()
    await asyncio.wait([producing])
    survivor = Worker(lab, "a", INSTANCE="a", CACHE_SIZE="20")
    lab.sent = len(await lab.read("events"))
    await lab.everything_is_exact(survivor)
    await survivor.stop()


def cold_rows(status: dict[str, Any]) -> int:
    return sum(at["cold_rows"] for at in status["tables"]["first"]["partitions"].values())


async def test_workers_may_join_and_leave_at_once(lab: Lab) -> None:
    await lab.create_topics()
    producing = asyncio.ensure_future(lab.produce(numbered(20_000), per_second=300))
    first = Worker(lab, "a")
    await first.running()
    second, third = Worker(lab, "b"), Worker(lab, "c")
    await second.until(lambda status: total_position(status, "first") > 0)
    await third.until(lambda status: total_position(status, "first") > 0)
    await first.until(lambda status: 0 < len(status["tables"]["first"]["partitions"]) < 4)
    await asyncio.sleep(1)
    await asyncio.gather(second.stop(), third.kill())
    status = await first.until(lambda status: len(status["tables"]["first"]["partitions"]) == 4)
    assert status["tables"]["first"]["restored_warm"] >= 1, "what it kept stayed hot"
    producing.cancel()
    await asyncio.wait([producing])
    lab.sent = len(await lab.read("events"))
    await lab.everything_is_exact(first)
    await first.stop()


@pytest.mark.timeout(600 if LONG else 120)
async def test_a_worker_that_slept_through_its_session_harms_nothing(lab: Lab) -> None:
    await lab.create_topics()
    producing = asyncio.ensure_future(lab.produce(numbered(100_000), per_second=300))
    # Rare checkpoints, so that the sleeper holds rows that it did not save.
    sleeper = Worker(lab, "a", CHECKPOINT_INTERVAL="2")
    await sleeper.running()
    for _ in range(3 if LONG else 1):
        await asyncio.sleep(1.5)
        sleeper.pause()
        other = Worker(lab, "b", CHECKPOINT_INTERVAL="2")
        await other.until(lambda status: len(status["tables"]["first"]["partitions"]) == 4)
        await other.until(lambda status: status["tables"]["first"]["checkpoints"] >= 4)
        sleeper.resume()
        await sleeper.until(lambda status: status["assignments"] > 1 and status["phase"] == "running")
        await asyncio.sleep(2)
        assert "fenced" in sleeper.log, "it wrote after the other had taken over"
        await other.stop()
        await sleeper.until(lambda status: len(status["tables"]["first"]["partitions"]) == 4)
    producing.cancel()
    await asyncio.wait([producing])
    lab.sent = len(await lab.read("events"))
    await lab.everything_is_exact(sleeper)
    await sleeper.stop()


async def test_of_two_workers_under_one_name_the_elder_makes_way(lab: Lab) -> None:
    """Kafka lets each throw out the other, for ever; and each would restore all, every few seconds."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    elder = Worker(lab, "a", INSTANCE="same")
    await lab.everything_is_exact(elder)
    younger = Worker(lab, "b", INSTANCE="same")
    assert await elder.exit_status() == 1
    assert "under the same instance id 'same'; this one, the elder, makes way" in elder.log
    await lab.produce(numbered(400, start=400))
    await lab.everything_is_exact(younger)
    await younger.stop()


async def test_a_worker_that_is_told_to_stop_in_the_middle_of_a_checkpoint_ends_well(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    for step in (
        ("begun", "rows-submitted", "changelog-acked", "store-written") if LONG else ("rows-submitted",)
    ):
        worker = Worker(lab, "a", COORDINATOR_FAILPOINTS=f"checkpoint.{step}=pause(2)")
        await worker.until_logged(f"failpoint checkpoint.{step}: pause")
        await worker.stop()
        await lab.produce(numbered(100, start=lab.sent))
    last = Worker(lab, "a")
    await lab.everything_is_exact(last)
    assert len(await lab.read("fleet")) == lab.sent, "nothing was folded again"
    await last.stop()


async def test_a_worker_may_join_while_another_restores(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(2_000))
    before = Worker(lab, "a")
    await lab.everything_is_exact(before)
    await before.stop()
    for step in ("fenced", "changelog-read", "done") if LONG else ("changelog-read",):
        slow = Worker(lab, "a", COORDINATOR_FAILPOINTS=f"restore.{step}=pause(3)")
        await slow.until_logged(f"failpoint restore.{step}: pause")
        other = Worker(lab, "b")
        shares = [
            set((await worker.until(owns_two))["tables"]["first"]["partitions"]) for worker in (slow, other)
        ]
        assert len(set.union(*shares)) == 4, f"both own some of {shares}"
        await lab.produce(numbered(200, start=lab.sent))
        await other.stop()
        await lab.everything_is_exact(slow)
        await slow.stop()


def owns_two(status: dict[str, Any]) -> bool:
    return len(status["tables"]["first"]["partitions"]) == 2


async def test_a_local_store_that_is_older_than_compaction_waits_is_not_believed(lab: Lab) -> None:
    """The tombstones of what was deleted since may be gone."""
    await lab.create_topics()
    await lab.produce(numbered(2_000))
    before = Worker(lab, "a", COMPACTION_LAG="60")
    await lab.everything_is_exact(before)
    await before.stop()
    after = Worker(lab, "a", COMPACTION_LAG="0.1")
    await lab.everything_is_exact(after)
    assert "local store rebuilt" in after.log
    assert len(await lab.read("fleet")) == 2_000, "nothing was folded again"
    await after.stop()


async def test_lost_local_stores_are_rebuilt_from_the_changelog(lab: Lab) -> None:
    await lab.create_topics()
    await lab.produce(numbered(2000))
    before = Worker(lab, "a")
    await lab.everything_is_exact(before)
    await before.stop()
    shutil.rmtree(before.directory / "data")
    after = Worker(lab, "a")
    await lab.everything_is_exact(after)
    assert len(await lab.read("fleet")) == 2000, "nothing was folded again"
    await after.stop()


@pytest.mark.parametrize("reader", ["raw", "public"])
async def test_the_end_of_a_transaction_is_read_like_every_offset(lab: Lab, reader: str) -> None:
    """It is no record, but whoever waits for the end of the log waits for it as well, perhaps for ever."""
    await lab.create_topics()
    producer = AIOKafkaProducer(bootstrap_servers=lab.bootstrap, transactional_id=f"{lab.prefix}t")
    async with producer:
        await producer.begin_transaction()
        for partition in range(4):
            await producer.send_and_wait(f"{lab.prefix}events", b'{"k":"a","n":1}', partition=partition)
        worker = Worker(lab, "a", READER=reader)
        await worker.until(lambda status: total_position(status, "first") == 4)
        await worker.stop()
        await producer.commit_transaction()
    again = Worker(lab, "a", READER=reader)
    status = await again.until(
        lambda status: (
            all(one["caught_up"] for one in status["tables"]["first"]["partitions"].values())
            and total_position(status, "first") == 8
        )
    )
    assert all(one["position"] == 2 for one in status["tables"]["first"]["partitions"].values())
    await again.stop()
