"""The synchronous facade on the real Kafka, from threads that know no event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from coordinator import Connection, NotRunning, TaskFailed, sync
from tests.integration.sdk.peer import Peer


@pytest.fixture
def here(kafka: str, topic_prefix: str, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Agents and clients of the test find the broker as users' programs do: in the environment."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("COORDINATOR_TOPIC_PREFIX", topic_prefix)
    return peer


async def test_a_client_submits_and_waits_without_an_event_loop(here: Peer) -> None:
    def program() -> list[object]:
        with sync.Client() as client:
            handle = client.submit(sync.Task(task_id="t1"))
            batch = client.submit_many([sync.Task(task_id="t2"), sync.Task(task_id="t3")])
            first = handle.result(20)
            with pytest.raises(TaskFailed):
                batch[1].result(20)
            states = sorted(result.state for result in batch.as_completed(20))
            return [first, states, batch.progress.done]

    running = asyncio.create_task(asyncio.to_thread(program))
    await here.hear(lambda event: event["type"] == "task_submitted", count=3)
    await here.result("task_completed", "t1", result="done")
    await here.result("task_completed", "t2")
    await here.result("task_failed", "t3", reason="attempts")
    assert await running == ["done", ["completed", "failed"], 2]


async def test_a_stop_from_another_thread_while_the_agent_starts_ends_it(
    here: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    connect = Connection.start

    async def say_so_and_connect(connection: Connection) -> Connection:
        begun.set()
        return await connect(connection)

    monkeypatch.setattr(Connection, "start", say_so_and_connect)
    agent = sync.Agent("a1")
    running = asyncio.create_task(asyncio.to_thread(agent.run, lambda directive: None))
    await asyncio.to_thread(begun.wait)
    await asyncio.to_thread(agent.stop)
    await asyncio.wait_for(running, 10)
    assert await here.hear(lambda event: event["type"] == "agent_deregistered")


async def test_an_agents_handlers_run_in_threads_until_it_is_stopped(here: Peer) -> None:
    agent = sync.Agent("a1", slots=2)
    together = threading.Barrier(2, timeout=10)

    @agent.task
    def work(directive: sync.Directive) -> object:
        together.wait()  # passes only if two handlers run at once
        directive.progress(0.5)
        return directive.payload

    running = asyncio.create_task(asyncio.to_thread(agent.run))
    await here.hear(lambda event: event["type"] == "agent_registered")
    directives = [await here.assign("a1", f"t{number}", payload=number) for number in range(2)]
    for number, directive in enumerate(directives):
        (_, completed) = await here.answers(directive["directive_id"], "accepted", "completed")
        assert completed["result"] == number
    await asyncio.to_thread(agent.stop)
    await running
    await here.hear(lambda event: event["type"] == "agent_deregistered")
    with pytest.raises(NotRunning):
        agent.report({"m": 1})


async def test_agents_and_clients_share_a_connection_and_iterate(here: Peer) -> None:
    def program() -> list[str]:
        with sync.Connection() as connection, sync.Agent("a1", connection=connection) as agent:
            with sync.Client(connection) as client:
                client.cordon("a9")
            agent.report({"queue": 3})
            directive = next(agent.directives())
            directive.accept()
            directive.complete("iterated")
            return [directive.task_id or "", directive.wait_ended()]

    running = asyncio.create_task(asyncio.to_thread(program))
    await here.hear(lambda event: event["type"] == "metric_report")
    directive = await here.assign("a1", "t1")
    assert await running == ["t1", "answered"]
    await here.answers(directive["directive_id"], "accepted", "completed")


def test_the_background_thread_ends_with_its_last_user(kafka: str) -> None:
    with sync.Connection(kafka):
        assert [thread for thread in threading.enumerate() if thread.name == "coordinator-loop"]
    assert not [thread for thread in threading.enumerate() if thread.name == "coordinator-loop"]
