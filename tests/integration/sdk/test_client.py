"""A client on the real Kafka; the peer plays the coordinator."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from coordinator import (
    Client,
    Connection,
    InvalidValue,
    NotRunning,
    Role,
    Task,
    TaskCancelled,
    TaskFailed,
    TaskRefused,
    WaitTimeout,
)
from tests.integration.sdk.peer import Peer


async def test_a_submitted_task_reaches_the_log_with_all_its_fields(
    peer: Peer, connection: Connection
) -> None:
    deadline = datetime.now(UTC) + timedelta(hours=1)
    task = Task(
        payload={"text": "hello"},
        task_id="t1",
        capabilities=["sum"],
        resources={"memory": 2},
        labels={"tier": "gold"},
        slots=2,
        size=3.5,
        priority=9,
        deadline=deadline,
        prefer_zone="z1",
        max_attempts=1,
        ack_timeout=5,
        run_timeout=60,
        tenant="acme",
        roles=[Role(role="lead", capabilities=["plan"]), Role(role="hand", count=2)],
    )
    async with Client(connection) as client:
        handle = await client.submit(task)
        await client.cancel("t1", "never mind")
    (submitted,) = await peer.hear(lambda event: event["type"] == "task_submitted")
    assert submitted == {
        "type": "task_submitted",
        "fleet": "default",
        "task_id": "t1",
        "requires": {"capabilities": ["sum"], "resources": {"memory": 2}, "labels": {"tier": "gold"}},
        "slots": 2,
        "size": 3.5,
        "priority": 9,
        "deadline": deadline.timestamp(),
        "prefer": {"zone": "z1"},
        "max_attempts": 1,
        "ack_timeout": 5,
        "run_timeout": 60,
        "tenant": "acme",
        "coalition": {
            "roles": [
                {"role": "lead", "capabilities": ["plan"], "count": 1},
                {"role": "hand", "capabilities": [], "count": 2},
            ]
        },
        "payload": {"text": "hello"},
        "_key": "t1",
        "_partition": submitted["_partition"],
    }
    (cancelled,) = await peer.hear(lambda event: event["type"] == "task_cancelled")
    assert (cancelled["task_id"], cancelled["reason"], cancelled["_key"]) == ("t1", "never mind", "t1")
    assert not handle.done


async def test_a_handle_returns_the_result_or_raises_how_the_task_ended(
    peer: Peer, connection: Connection
) -> None:
    async with Client(connection) as client:
        handles = {
            name: await client.submit(Task(task_id=name)) for name in ("good", "bad", "gone", "unwanted")
        }
        await peer.result("task_completed", "good", result={"answer": 42}, agent_id="a1")
        await peer.result("task_failed", "bad", reason="attempts: boom", attempt=3, agent_id="a1")
        await peer.result("task_cancelled", "gone", reason="never mind")
        await peer.result("task_refused", "unwanted", reason="quota")
        assert await handles["good"].result(10) == {"answer": 42}
        with pytest.raises(TaskFailed, match="task bad failed on a1, attempt 3: attempts: boom") as failed:
            await handles["bad"].result(10)
        assert (failed.value.task_id, failed.value.reason, failed.value.attempt) == (
            "bad",
            "attempts: boom",
            3,
        )
        with pytest.raises(TaskCancelled, match="never mind"):
            await handles["gone"].result(10)
        with pytest.raises(TaskRefused, match="quota"):
            await handles["unwanted"].result(10)
        assert (await client.wait("good", 10)).agent_id == "a1"


async def test_a_result_that_landed_before_the_wait_began_is_not_missed(
    peer: Peer, connection: Connection
) -> None:
    async with Client(connection) as client:
        await client.submit(Task(task_id="own"))
        await peer.result("task_completed", "own", result=1)
        await peer.result("task_completed", "of-others", result=2)
        assert (await client.wait("own", 10)).result == 1
        assert (await client.wait("of-others", 10)).result == 2


async def test_results_from_before_the_client_are_found_by_looking_back(
    peer: Peer, connection: Connection
) -> None:
    await peer.result("task_completed", "old", result="early")
    await asyncio.sleep(0.01)
    between = time.time()
    async with Client(connection) as client:
        assert (await client.result("old", timeout=10)).result == "early"
        later = await client.result("old", since=between - 60, timeout=10)
        assert later.result == "early"
    async with Client(connection) as client:
        with pytest.raises(WaitTimeout) as late:
            await client.result("old", since=datetime.now(UTC) + timedelta(hours=1), timeout=0)
        assert late.value.task_ids == ("old",)
        with pytest.raises(WaitTimeout):
            await client.result("never-was", timeout=0)


async def test_a_batch_reports_progress_and_yields_results_as_they_come(
    peer: Peer, connection: Connection
) -> None:
    async with Client(connection) as client:
        batch = await client.submit_many(Task(task_id=f"t{number}") for number in range(100))
        assert (len(batch), batch[3].task_id, batch.progress.done) == (100, "t3", 0)
        await peer.hear(lambda event: event["type"] == "task_submitted", count=100)
        for number in reversed(range(99)):
            kind = "task_failed" if number == 7 else "task_completed"
            await peer.result(kind, f"t{number}", result=number)
        arrived: list[str] = []

        async def collect() -> None:
            async for result in batch.as_completed(timeout=2):
                arrived.append(result.task_id)

        with pytest.raises(WaitTimeout) as late:
            await collect()
        assert late.value.task_ids == ("t99",)
        assert sorted(arrived) == sorted(f"t{number}" for number in range(99))
        progress = batch.progress
        assert (progress.total, progress.done, progress.completed, progress.failed) == (100, 99, 98, 1)
        await batch.cancel("enough")
        await peer.hear(lambda event: event["type"] == "task_cancelled" and event["task_id"] == "t99")
        await peer.result("task_cancelled", "t99")
        assert [result.task_id for result in await batch.wait(10)] == [f"t{number}" for number in range(100)]


async def test_operators_events_carry_their_subject_as_key(peer: Peer, connection: Connection) -> None:
    async with Client(connection, fleet="blue") as client:
        await client.drain("a1", deadline=2_000_000_000)
        await client.cordon("a2")
        await client.uncordon("a2")
        await client.set_policy({"agents": {"self_registration": False}}, version=2)
    heard = await peer.hear(lambda event: True, count=4)
    assert {(event["type"], event["_key"]) for event in heard} == {
        ("agent_drained", "a1"),
        ("agent_cordoned", "a2"),
        ("agent_uncordoned", "a2"),
        ("policy_changed", "blue"),
    }
    assert {event["fleet"] for event in heard} == {"blue"}


async def test_another_fleets_result_of_the_same_task_id_is_not_taken(
    peer: Peer, connection: Connection
) -> None:
    async with Client(connection) as client:
        handle = await client.submit(Task(task_id="t1"))
        await peer.result("task_completed", "t1", fleet="other", result="theirs")
        await peer.result("task_completed", "t1", result="ours")
        assert await handle.result(10) == "ours"


async def test_nothing_of_a_batch_is_sent_if_one_task_is_invalid(peer: Peer, connection: Connection) -> None:
    async with Client(connection) as client:
        with pytest.raises(InvalidValue, match="priority"):
            await client.submit_many([Task(task_id="fine"), Task(task_id="odd", priority=10)])
        await client.submit(Task(task_id="last"))
    heard = await peer.hear(lambda event: event["task_id"] == "last")
    assert heard == peer.events


async def test_whoever_waits_when_the_client_stops_is_told(connection: Connection) -> None:
    client = await Client(connection).start()
    waiting = asyncio.create_task(client.wait("t1"))
    await asyncio.sleep(0)
    await client.stop()
    with pytest.raises(NotRunning):
        await waiting
    with pytest.raises(NotRunning):
        await client.submit(Task())
