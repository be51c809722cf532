"""What the SDK does when the broker goes away, and when the agent itself is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from coordinator import Agent, BrokerUnavailable, Client, Connection, DeliveryFailed, Directive, Task
from coordinator._store import StateStore, state_path
from coordinator.directive import Answer
from streams import topics
from streams.kafka import LocalKafka
from tests.integration.sdk.peer import Peer, running

PROGRAM = """
import asyncio, sys
from coordinator import Agent

agent = Agent("a1", state_dir=sys.argv[1])

@agent.task
async def work(directive):
    print("executing", directive.task_id, directive.epoch, flush=True)
    await asyncio.sleep(0 if directive.payload == "short" else 60)
    return "done"

asyncio.run(agent.run())
"""


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A broker that may be killed, unlike the one that all tests share."""
    with LocalKafka(tmp_path_factory.mktemp("own-kafka")) as broker:
        yield broker


@pytest.fixture
async def fragile(own_kafka: LocalKafka, topic_prefix: str) -> AsyncIterator[tuple[LocalKafka, Connection]]:
    """That broker with topics of this test, and a connection to it."""
    with suppress(RuntimeError):  # it runs
        await asyncio.to_thread(own_kafka.start)
    layout = topics.Layout(prefix=topic_prefix, application=topic_prefix + "app")
    await topics.create(own_kafka.bootstrap, layout)
    async with Connection(own_kafka.bootstrap, topic_prefix=topic_prefix) as connection:
        yield own_kafka, connection


async def test_work_goes_on_through_an_outage_of_the_broker(
    fragile: tuple[LocalKafka, Connection], topic_prefix: str
) -> None:
    broker, connection = fragile
    peer = await Peer.at(broker.bootstrap, topic_prefix)
    agent = Agent("a1", connection=connection, heartbeat_interval=0.1)
    go_on = asyncio.Event()

    @agent.task
    async def work(_: Directive) -> str:
        await go_on.wait()
        return "finished while the broker was away"

    async with Client(connection) as client, running(agent, peer):
        handle = await client.submit(Task(task_id="t1"))
        directive = await peer.assign("a1", "t1")
        await peer.answers(directive["directive_id"], "accepted")
        os.kill(broker.pid, signal.SIGKILL)
        go_on.set()
        await asyncio.sleep(1)
        await asyncio.to_thread(broker.start)
        (_, completed) = await peer.answers(directive["directive_id"], "accepted", "completed", seconds=30)
        await peer.result("task_completed", "t1", result=completed["result"])
        assert await handle.result(20) == "finished while the broker was away"
        after = await peer.assign("a1", "t2")
        await peer.answers(after["directive_id"], "accepted", "completed", seconds=20)
    numbers = [event["seq"] for event in peer.events if event.get("agent_id") == "a1"]
    assert numbers == sorted(set(numbers)), "an event overtook another, so the coordinator would drop it"
    await peer.close()


async def test_an_outage_is_told_once_and_so_is_its_end(
    fragile: tuple[LocalKafka, Connection], topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker, connection = fragile
    peer = await Peer.at(broker.bootstrap, topic_prefix)
    async with Client(connection), running(Agent("a1", connection=connection), peer, handler):
        # The peer's client is noisy as well, but it is calmed with all others of this process.
        os.kill(broker.pid, signal.SIGKILL)
        await asyncio.sleep(8)
        await asyncio.to_thread(broker.start)
        await heard(caplog, "answers again")
    await peer.close()
    ours = [record.getMessage() for record in caplog.records if record.name == "coordinator"]
    assert ours[0] == f"Kafka at {broker.bootstrap} does not answer; what is to be sent waits until it does"
    assert ours[1].startswith(f"Kafka at {broker.bootstrap} answers again, after ")
    assert len(ours) == 2, ours
    theirs = [record for record in caplog.records if record.name.startswith("aiokafka")]
    assert len(theirs) <= 15, [record.getMessage() for record in theirs]


async def heard(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(20):
        while words not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def handler(_: Directive) -> None: ...


async def test_stopping_without_a_broker_ends_in_time(fragile: tuple[LocalKafka, Connection]) -> None:
    broker, connection = fragile
    agent = await Agent("a1", connection=connection).start()
    os.kill(broker.pid, signal.SIGKILL)
    began = time.monotonic()
    await agent.stop()
    await connection.stop()
    assert time.monotonic() - began < 25


async def test_after_a_refused_record_the_next_ones_go_through(kafka: str, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    small = {"max.message.bytes": "2000"}
    names = [topic_prefix + name for name in ("events", "results")]
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=small) for name in names])
    await admin.close()
    async with Connection(kafka, topic_prefix=topic_prefix) as connection, Client(connection) as client:
        await client.submit(Task(task_id="t1"))
        with pytest.raises(DeliveryFailed, match=r"did not take the record for t2 on .*\.events") as failed:
            await client.submit(Task(task_id="t2", payload="x" * 5000))
        assert failed.value.key == "t2"
        await client.submit_many([Task(task_id="t3"), Task(task_id="t4")])


async def test_waiting_for_a_broker_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BrokerUnavailable):
        await Connection("127.0.0.1:1", connect_timeout=5).start()
    ours = [record.getMessage() for record in caplog.records if record.name == "coordinator"]
    assert ours == ["waiting for Kafka at 127.0.0.1:1"]


async def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 within 0\.2 s"):
        await Connection("127.0.0.1:1", connect_timeout=0.2).start()


class Process:
    """An agent in a process of its own, which can be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def processes(
    kafka: str, topic_prefix: str, peer: Peer, tmp_path: Path
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    started: list[asyncio.subprocess.Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_agent_executes_nothing_twice_after_its_restart(
    kafka: str, peer: Peer, tmp_path: Path, processes: list[asyncio.subprocess.Process]
) -> None:
    async def start() -> Process:
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "COORDINATOR_TOPIC_PREFIX": peer.prefix,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(tmp_path), env=environment, stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        await peer.hear(lambda event: event["type"] == "agent_registered", count=len(processes), seconds=20)
        return Process(process)

    agent = await start()
    finished = await peer.assign("a1", "t1", payload="short")
    await peer.answers(finished["directive_id"], "accepted", "completed")
    assert await agent.line() == "executing t1 1"
    interrupted = await peer.assign("a1", "t2")
    assert await agent.line() == "executing t2 1"
    await agent.kill()

    agent = await start()
    await peer.repeat(finished)
    await peer.repeat(interrupted)
    again = await peer.assign("a1", "t2", epoch=2, payload="short")
    await peer.answers(finished["directive_id"], "accepted", "completed", "completed")
    await peer.answers(again["directive_id"], "accepted", "completed")
    assert await agent.line() == "executing t2 2"
    await agent.kill()


async def test_an_answer_that_a_crash_held_back_is_sent_before_the_next_registration(
    peer: Peer, connection: Connection, tmp_path: Path
) -> None:
    store = StateStore(state_path(tmp_path, "default", "a1"))
    store.begin(await connection.log_identity(), time.time())
    fence = ("t1", 2, time.time() + 60)
    store.remember("default.1.0", position=0, keep_until=time.time() + 60, fence=fence, facts={})
    store.answered("default.1.0", Answer("completed", result="just in time"))
    store.close()
    for _ in range(2):
        async with Agent("a1", connection=connection, state_dir=tmp_path):
            pass
    await peer.hear(lambda event: event["type"] == "agent_deregistered", count=2)
    late, registered = peer.events[:2]
    assert (late["directive_id"], late["outcome"], late["result"]) == (
        "default.1.0",
        "completed",
        "just in time",
    )
    assert "incarnation" not in late
    assert registered["type"] == "agent_registered"
    assert len([event for event in peer.events if event["type"] == "directive_response"]) == 1
