"""Submissions that the coordinator itself rejects, and a client that may not hear of it."""

from __future__ import annotations

import pytest

from coordinator import Agent, Client, Connection, Task, TaskExists
from streams.service import CoordinatorAgent
from tests.integration.sdk.peer import Peer


@pytest.fixture
def here(kafka: str, topic_prefix: str, coordinator: CoordinatorAgent) -> Connection:
    """A connection to a running coordinator."""
    return Connection(kafka, topic_prefix=topic_prefix)


async def test_a_submission_under_an_id_that_another_task_has_is_refused_alone(here: Connection) -> None:
    async with here, Client(here) as client, Client(here) as other:
        first = await client.submit(Task(task_id="t1", payload="one"))
        again = await client.submit(Task(task_id="t1", payload="one"))
        batch = await other.submit_many([Task(task_id="t1", payload="two"), Task(task_id="t2")])
        result = await batch[0].wait(20)
        assert (result.state, result.reason, result.task_id) == ("refused", "task_exists", "t1")
        with pytest.raises(TaskExists, match="task t1 was refused, since another one has this id") as refused:
            await batch[0].result(20)
        assert refused.value.task_id == "t1"
        assert batch.progress.refused == 1

        agent = Agent("a1", connection=here, slots=2)
        async with agent:
            arriving = agent.directives()
            for _ in range(2):
                directive = await anext(arriving)
                await directive.accept()
                await directive.complete(directive.payload)
            await arriving.aclose()
            assert [await each.result(20) for each in (first, again)] == ["one", "one"]
        assert [result.state for result in await batch.wait(20)] == ["refused", "completed"]


async def test_a_client_without_alerts_works_all_the_same(
    peer: Peer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.client.ALERTS", "nowhere")
    monkeypatch.setattr("coordinator.client.ALERTS_SECONDS", 0.5)
    async with Client(connection) as client:
        handle = await client.submit(Task(task_id="t1"))
        await peer.result("task_completed", "t1", result="done")
        assert await handle.result(10) == "done"
