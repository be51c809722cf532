"""What the machine under a worker does to it: its disk and its clock may do anything; every record counts once.

The local store is a cache: whatever happens to it, the worker goes on from the changelog, and says so.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from streams.engine.changelog import Replay
from streams.engine.store import LocalStore
from streams.reader import TopicReader
from tests.integration.engine.harness import PARTITIONS, Lab, Worker, numbered
from tests.support.faulty_machine import FaultyMachine

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
YEAR = 365 * 86_400 * 10**9
TABLES = {"first": "events", "second": "fleet"}
"""Each with its source."""


@pytest.fixture
def machine(tmp_path: Path) -> FaultyMachine:
    """Its disk is where worker ``a`` keeps its local stores."""
    return FaultyMachine(tmp_path, tmp_path / "a" / "data")


def local_stores(worker: Worker) -> dict[str, str]:
    """What the worker says about them, by table and partition."""
    status = worker.status()
    assert status is not None
    return {
        f"{name}/{partition}": at["local_store"]
        for name, table in status["tables"].items()
        for partition, at in table["partitions"].items()
    }


async def stores_hold_what_the_changelog_holds(lab: Lab, worker: Worker) -> None:
    """Of a stopped worker: every local store is there, proves itself, and is the changelog's state to the byte."""
    for table, source in TABLES.items():
        async with TopicReader(lab.bootstrap, "") as reader:
            records = [one async for one in reader.records(f"{lab.prefix}app-{table}-changelog")]
        for partition in range(PARTITIONS[source]):
            replay = Replay()
            its = sorted((one for one in records if one.partition == partition), key=lambda one: one.offset)
            replay.apply(its, own_fence=1 << 62)
            assert replay.mark is not None
            store = LocalStore(worker.directory / "data" / "folds" / table / str(partition), table, partition)
            snapshot = store.load()
            store.close()
            assert snapshot is not None
            assert snapshot.rows == replay.rows
            assert (snapshot.meta.position, snapshot.meta.digest) == (
                replay.mark.position,
                replay.mark.digest,
            )


async def test_a_disk_that_fills_up_costs_the_local_store_and_no_record(
    lab: Lab, machine: FaultyMachine
) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(worker)
    assert set(local_stores(worker).values()) == {"good"}

    machine.order(full=1, room=20_000)
    await lab.produce(numbered(3_000, keys=1_000, start=400))
    await lab.everything_is_exact(worker)
    said = local_stores(worker).values()
    assert any("No space left on device" in one for one in said), said
    assert "local store dropped" in worker.log

    machine.order(full=0)
    await lab.produce(numbered(400, start=3_400))
    await lab.everything_is_exact(worker)
    await worker.stop()
    again = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(again)
    assert set(local_stores(again).values()) == {"good"}
    await again.stop()
    await stores_hold_what_the_changelog_holds(lab, again)


async def test_a_disk_that_fails_under_rows_that_memory_has_no_room_for_ends_the_worker(
    lab: Lab, machine: FaultyMachine
) -> None:
    """The next one has them from the changelog, and keeps them all in memory until the disk is good again."""
    await lab.create_topics()
    await lab.produce(numbered(4_000, keys=1_000))
    worker = Worker(lab, "a", CACHE_SIZE="40", **machine.environment)
    await lab.everything_is_exact(worker)
    machine.order(full=1, room=0)
    await lab.produce(numbered(100, keys=10, start=4_000))
    assert await worker.exit_status() == 1
    assert "rows were only there" in worker.log
    assert "No space left on device" in worker.log

    again = Worker(lab, "a", CACHE_SIZE="40", **machine.environment)
    await lab.everything_is_exact(again)
    status = again.status()
    assert status is not None
    assert not any(at["cold_rows"] for at in status["tables"]["first"]["partitions"].values())
    await again.stop()
    machine.order(full=0)
    last = Worker(lab, "a", CACHE_SIZE="40", **machine.environment)
    await lab.everything_is_exact(last)
    await last.until(
        lambda status: any(at["cold_rows"] for at in status["tables"]["first"]["partitions"].values())
    )
    await last.stop()
    await stores_hold_what_the_changelog_holds(lab, last)


@pytest.mark.skipif(not LONG, reason="long: says little more than a disk that fills up")
async def test_a_disk_that_is_full_from_the_start_stops_nobody(lab: Lab, machine: FaultyMachine) -> None:
    await lab.create_topics()
    await lab.produce(numbered(400))
    machine.order(full=1, room=0)
    worker = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(worker)
    assert all("No space left on device" in one for one in local_stores(worker).values())
    await worker.stop()


@pytest.mark.timeout(900 if LONG else 120)
async def test_writes_that_fail_at_random_cost_no_record(lab: Lab, machine: FaultyMachine) -> None:
    await lab.create_topics()
    for chance in range(1, 21 if LONG else 2):
        machine.order(fail_per_million=100_000 // chance, chance=chance * 1_000_003)
        await lab.produce(numbered(1_500, keys=300, start=lab.sent))
        worker = Worker(lab, "a", **machine.environment)
        await lab.everything_is_exact(worker)
        await worker.stop()
    assert machine.failed > 0
    machine.order(fail_per_million=0)
    whole = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(whole)
    await whole.stop()
    await stores_hold_what_the_changelog_holds(lab, whole)


@pytest.mark.skipif(not LONG, reason="long: tests/crash does the same with the coordinator")
async def test_a_disk_that_becomes_read_only_costs_the_local_store_and_no_record(
    lab: Lab, machine: FaultyMachine
) -> None:
    """As a file system does that met an error. What lies there meanwhile is old, and is known to be."""
    await lab.create_topics()
    await lab.produce(numbered(400))
    worker = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(worker)
    machine.order(read_only=1)
    await lab.produce(numbered(400, start=400))
    await lab.everything_is_exact(worker)
    assert any("Read-only file system" in one for one in local_stores(worker).values())
    assert list((worker.directory / "data" / "folds").rglob("*.log")), "nothing could be deleted"
    await worker.stop()
    machine.order(read_only=0)
    again = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(again)
    await again.stop()
    await stores_hold_what_the_changelog_holds(lab, again)


async def test_a_slow_disk_makes_checkpoints_slow_and_nothing_else(lab: Lab, machine: FaultyMachine) -> None:
    await lab.create_topics()
    machine.order(write_delay_us=10_000, sync_delay_us=30_000)
    worker = Worker(lab, "a", **machine.environment)
    await worker.running()
    await lab.produce(numbered(1_000, keys=300), per_second=1_000)
    await lab.everything_is_exact(worker)
    assert machine.delayed > 10
    assert set(local_stores(worker).values()) == {"good"}
    status = worker.status()
    assert status is not None
    assert status["assignments"] == 1, "nobody took it for dead"
    await worker.stop()
    machine.order(write_delay_us=0, sync_delay_us=0)
    await stores_hold_what_the_changelog_holds(lab, worker)


@pytest.mark.skipif(not LONG, reason="long: a local store takes many seconds to open")
@pytest.mark.timeout(600)
async def test_a_disk_so_slow_that_the_session_ends_costs_time_only(lab: Lab, machine: FaultyMachine) -> None:
    await lab.create_topics()
    machine.order(write_delay_us=100_000, sync_delay_us=300_000)
    await lab.produce(numbered(2_000, keys=300))
    worker = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(worker)
    await worker.kill()
    machine.order(write_delay_us=0, sync_delay_us=0)
    again = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(again)
    await again.stop()
    await stores_hold_what_the_changelog_holds(lab, again)


@pytest.mark.skipif(not LONG, reason="long: in tests/crash it is wrong by a day")
@pytest.mark.parametrize("years", [-10, 10])
async def test_a_wall_clock_that_is_wrong_by_years_has_no_power_over_folds(
    lab: Lab, machine: FaultyMachine, years: int
) -> None:
    """Nor over the stamps in the logs, by which Kafka deletes, compacts and refuses records."""
    await lab.create_topics()
    worker = Worker(lab, "a", **machine.environment)
    await worker.running()
    machine.order(clock_ahead_ns=years * YEAR)
    await lab.produce(numbered(1_000, keys=300))
    await lab.everything_is_exact(worker)
    machine.order(clock_ahead_ns=-years * YEAR)
    await lab.produce(numbered(1_000, keys=300, start=1_000))
    await lab.everything_is_exact(worker)
    await worker.stop()
    machine.order(clock_ahead_ns=0)
    again = Worker(lab, "a", **machine.environment)
    await lab.everything_is_exact(again)
    assert len(await lab.read("fleet")) == 2_000, "nothing was folded again"
    await again.stop()
    await stores_hold_what_the_changelog_holds(lab, again)
    now = time.time()
    for topic in (
        f"{lab.prefix}fleet",
        f"{lab.prefix}out",
        *(f"{lab.prefix}app-{t}-changelog" for t in TABLES),
    ):
        async with TopicReader(lab.bootstrap, "") as reader:
            stamps = [one.timestamp / 1000 async for one in reader.records(topic)]
        assert now - 300 < min(stamps) <= max(stamps) < now + 300, topic
