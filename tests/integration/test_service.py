"""The coordinator inside a program: its components do the real thing, through the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from models.dead_letters import MAX_KEPT_BYTES
from streams.engine.errors import NotRunning
from streams.errors import BrokerUnreachable
from streams.service import CoordinatorAgent, CoordinatorConfig
from streams.settings import load_settings
from streams.state import AgentState
from streams.tolerant_records import UNREAD_HEADER
from streams.unpacking import MAX_UNPACKED_BYTES
from tests.integration.engine.harness import AdminClient
from tests.support.bombs import Bomb
from tests.support.nasty_records import NASTY, beat
from tests.support.strange_batch import strange_batch


async def get(coordinator: CoordinatorAgent, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{coordinator.http.address}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def get_until(coordinator: CoordinatorAgent, path: str, text: str) -> None:
    for _ in range(400):
        if text in (await get(coordinator, path))[1]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} never showed {text}")


async def test_agent_state_is_tracked_through_the_log(coordinator: CoordinatorAgent) -> None:
    state = AgentState(
        agent_id="test_agent", status="active", capabilities=["task_execution"], current_load=0.5
    )
    await coordinator.state_manager.track_agent_state("test_agent", state)
    tracked = coordinator.state_manager.agent_states["test_agent"]
    assert tracked.status == "active"
    assert tracked.capabilities == ["task_execution"]
    assert tracked.current_load == 0.5
    assert "somebody_else" not in coordinator.state_manager.agent_states
    with pytest.raises(ValueError, match="not of 'somebody_else'"):
        await coordinator.state_manager.track_agent_state("somebody_else", state)


async def test_what_a_fleet_has_is_divided_among_tenants_through_the_log(
    coordinator: CoordinatorAgent,
) -> None:
    say = coordinator.message_handler.process_message
    manager = coordinator.resource_manager
    with pytest.raises(LookupError, match="'default' is unknown here"):
        manager.resource_pools()
    await say({"type": "agent_registered", "agent_id": "a1", "slots": 4, "resources": {"gpu": 2}})
    for number in range(6):
        await say({"type": "task_submitted", "task_id": f"t{number}", "tenant": "xy"[number % 2]})
    await get_until(coordinator, "/v1/summary", '"submitted":6')
    answer = orjson.loads((await get(coordinator, "/v1/resources"))[1])
    assert answer["pools"]["slots"]["capacity"] == 4
    proposal = await manager.optimize_allocation(apply=True)
    assert proposal["patch"] == {"planning": {"allocations": {"x": {"slots": 2}, "y": {"slots": 2}}}}
    await get_until(coordinator, "/v1/summary", '"policy_version":1')
    assert (await manager.optimize_allocation(apply=True))["patch"] is None


async def test_an_invalid_message_is_refused_with_every_fault_named(coordinator: CoordinatorAgent) -> None:
    handler = coordinator.message_handler
    with pytest.raises(ValueError, match=r"agent_id: .*; status: "):
        await handler.process_message({"type": "status_update", "agent_id": "no spaces", "status": "happy"})
    with pytest.raises(ValueError, match="no event has the type 'hello'"):
        await handler.process_message({"type": "hello"})
    with pytest.raises(ValueError, match="needs no message"):
        await handler.process_message({"type": "clock_ticked"})


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"\x00" * (9 << 20), []),
        (b'{"type":"task_cancelled","task_id":"t"}', [("x", b"\x00" * (9 << 20))]),
    ],
    ids=["value", "headers"],
)
async def test_a_record_that_was_small_only_while_compressed_stops_nothing(
    coordinator: CoordinatorAgent,
    kafka: str,
    topic_prefix: str,
    value: bytes,
    headers: list[tuple[str, bytes]],
) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="gzip", max_request_size=len(value) + (10 << 20)
    )
    letters = AIOKafkaConsumer(
        f"{topic_prefix}dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    async with producer, letters:
        # Misplaced in all partitions but one, which merely rejects the cancellation.
        for partition in range(2):
            await producer.send_and_wait(f"{topic_prefix}events", value, partition=partition, headers=headers)
        letter = await asyncio.wait_for(letters.getone(), 20)
    assert int(dict(letter.headers)["coord-cut"]) >= 9 << 20


async def test_what_broke_parsers_elsewhere_stops_nothing(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    events = f"{topic_prefix}events"
    poison = [value for value, becomes in NASTY.values() if becomes not in ("applied", "tick")]
    letters = AIOKafkaConsumer(
        f"{topic_prefix}dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=2 << 20) as producer, letters:
        for number, value in enumerate(poison):
            await producer.send(events, value, key=b"k%d" % number, partition=0)
        await producer.send_and_wait(events, beat(b"after"), partition=0)
        kept = [await asyncio.wait_for(letters.getone(), 20) for _ in poison]
    assert [(letter.key, letter.value) for letter in kept] == [
        (b"k%d" % number, value) for number, value in enumerate(poison)
    ]
    await get_until(coordinator, "/v1/agents/after", '"idle"')
    outcomes = coordinator.agents_table.tasks[0].fold.outcomes  # type: ignore[attr-defined]
    assert outcomes["dead_lettered"] == len(poison)


async def test_a_record_of_ten_megabytes_is_refused_to_its_sender_or_kept_in_part_and_stops_nothing(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    """Refused by the topic as it should be; in one that an operator made take more it is read like any other."""
    events = f"{topic_prefix}events"
    huge = beat().ljust(10_000_000)
    letters = AIOKafkaConsumer(
        f"{topic_prefix}dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=16 << 20) as producer, letters:
        for partition in range(4):
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send_and_wait(events, huge, partition=partition)
        async with AdminClient(kafka) as admin:
            larger = {"max.message.bytes": str(16 << 20)}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, events, configs=larger)])
        for partition in range(4):
            await producer.send_and_wait(events, huge, partition=partition)
        await producer.send_and_wait(events, beat(), partition=0)
        for _ in range(4):
            letter = await asyncio.wait_for(letters.getone(), 20)
            headers = dict(letter.headers)
            assert letter.value == huge[:MAX_KEPT_BYTES]
            assert headers["coord-cut"] == b"10000000"
            assert headers["coord-error"].startswith(b"limits: the value has 10000000 bytes")
    await get_until(coordinator, "/v1/agents/a1", '"idle"')
    tasks = coordinator.agents_table.tasks.values()
    assert sum(task.fold.outcomes["dead_lettered"] for task in tasks) == 4  # type: ignore[attr-defined]


async def test_decompression_bombs_are_kept_as_they_came_and_cost_no_other_record_anything(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    events = f"{topic_prefix}events"
    letters = AIOKafkaConsumer(
        f"{topic_prefix}dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    bombs = {}
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=2 << 20) as producer, letters:
        for compression in ("gzip", "lz4", "zstd"):
            await producer.send_and_wait(events, beat(f"agent-{compression}".encode()), partition=0)
            bomb = Bomb(4 * MAX_UNPACKED_BYTES, compression)
            sent = await (await producer.send_batch(bomb, events, partition=0))
            bombs[f"{events}/0/{sent.offset}".encode()] = bytes(bomb._build())
        await producer.send_and_wait(events, beat(b"after"), partition=0)
        kept = [await asyncio.wait_for(letters.getone(), 20) for _ in bombs]
        for name in ("agent-gzip", "agent-lz4", "agent-zstd", "after"):
            await get_until(coordinator, f"/v1/agents/{name}", '"idle"')
    for letter in kept:
        headers = dict(letter.headers)
        assert b"more than 67108864 bytes once unpacked" in headers[UNREAD_HEADER]
        assert headers["coord-error"].startswith((b"bytes: ", b"limits: "))
        assert letter.value is not None
        bomb_as_sent = bombs.pop(headers["coord-origin"])
        assert letter.value[61:] == bomb_as_sent[61:], "all but what the broker writes into a batch's head"
    assert bombs == {}
    outcomes = coordinator.agents_table.tasks[0].fold.outcomes  # type: ignore[attr-defined]
    assert outcomes["dead_lettered"] == 3


async def test_a_header_name_that_is_no_utf8_stops_nothing(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    good, broken = beat().replace(b"idle", b"active"), b"{"
    letters = AIOKafkaConsumer(
        f"{topic_prefix}dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer, letters:
        for partition in range(4):  # in its own partition, and misplaced
            batch = strange_batch(b"\xff\xfe", [good, broken, good, good], "gzip")
            await (await producer.send_batch(batch, f"{topic_prefix}events", partition=partition))
        for _ in range(4):
            letter = await asyncio.wait_for(letters.getone(), 20)
            names = [name for name, _ in letter.headers]
            assert letter.value == broken
            assert names[0] == "before"
            assert names[1].startswith("\\xff\\xfe.")
    await get_until(coordinator, "/v1/agents/a1", '"active"')


async def test_a_task_flows_from_message_to_directive_to_result(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    consumer = AIOKafkaConsumer(
        f"{topic_prefix}directives",
        f"{topic_prefix}results",
        bootstrap_servers=kafka,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        say = coordinator.message_handler.process_message
        await say({"type": "status_update", "agent_id": "test_agent", "status": "active"})
        await say({"type": "task_submitted", "task_id": "t1", "payload": {"n": 1}})
        directive = orjson.loads((await asyncio.wait_for(consumer.getone(), 20)).value)
        assert (directive["type"], directive["task_id"], directive["agent_id"]) == (
            "assign_task",
            "t1",
            "test_agent",
        )
        assert directive["payload"] == {"n": 1}
        await say(
            {
                "type": "directive_response",
                "agent_id": "test_agent",
                "directive_id": directive["directive_id"],
                "outcome": "completed",
                "result": 42,
            }
        )
        result = orjson.loads((await asyncio.wait_for(consumer.getone(), 20)).value)
        assert (result["type"], result["task_id"], result["result"]) == ("task_completed", "t1", 42)
    finally:
        await consumer.stop()


async def test_directives_that_only_the_fold_decides_on_cannot_be_sent(coordinator: CoordinatorAgent) -> None:
    send = coordinator.message_handler.send_directive
    with pytest.raises(ValueError, match="join_coalition"):
        await send({"type": "join_coalition", "agent_id": "a1"})
    with pytest.raises(ValueError, match="needs task_id and agent_id"):
        await send({"type": "assign_task"})
    with pytest.raises(ValueError, match="no live task 't9'"):
        await send({"type": "assign_task", "task_id": "t9", "agent_id": "a1"})


async def test_health_metrics_and_state_are_served(coordinator: CoordinatorAgent) -> None:
    await coordinator.message_handler.process_message(
        {"type": "agent_registered", "agent_id": "a1", "capabilities": ["weld"]}
    )
    await coordinator.message_handler.process_message(
        {"type": "task_submitted", "task_id": "t1", "requires": {"capabilities": ["paint"]}}
    )
    await coordinator.message_handler.process_message({"type": "task_submitted", "task_id": "t2"})
    await get_until(coordinator, "/v1/tasks/t2", '"assigned"')

    assert await get(coordinator, "/health/live") == (200, '{"live": true}')
    assert (await get(coordinator, "/health/ready"))[0] == 200
    status, body = await get(coordinator, "/health")
    assert status == 200
    for check in ("message_broker", "service_registry", "state_manager"):
        assert f'"{check}": "healthy"' in body

    _, metrics = await get(coordinator, "/metrics")
    assert 'coordinator_message_latency_seconds_bucket{le="0.001",message_type="' in metrics
    assert "\ncoordinator_active_agents 1.0" in metrics
    assert 'coordinator_operations_total{operation_type="assign_task"} 1.0' in metrics
    assert 'outcome="applied"' in metrics

    _, explanation = await get(coordinator, "/v1/tasks/t1/explanation")
    assert '"reason":"impossible"' in explanation
    assert '"capability":1' in explanation
    assert '"at":{"topic":"' in explanation
    assert '"cut":"' in explanation
    status, problem = await get(coordinator, "/v1/tasks/nobody")
    assert status == 404
    assert "the fleet 'default' has no task 'nobody'" in problem
    assert '"t1"' in (await get(coordinator, "/v1/tasks?state=pending"))[1]
    assert '"t2"' not in (await get(coordinator, "/v1/tasks?state=pending"))[1]
    assert '"agents":[]' in (await get(coordinator, "/v1/agents?state=lost"))[1]
    assert '"agent_id"' in (await get(coordinator, "/v1/agents?state=busy&limit=1"))[1]


async def test_the_root_lists_the_paths_and_an_unknown_one_is_told_them(
    coordinator: CoordinatorAgent,
) -> None:
    status, index = await get(coordinator, "/")
    paths = orjson.loads(index)["paths"]
    assert status == 200
    assert {"/metrics", "/health/ready", "/v1/status", "/v1/tasks/{id}/explanation"} <= set(paths)
    status, problem = await get(coordinator, "/nowhere")
    assert status == 404
    assert orjson.loads(problem)["detail"] == f"nothing is at /nowhere; there are {', '.join(paths)}"


async def test_a_coordinator_runs_once(coordinator: CoordinatorAgent) -> None:
    with pytest.raises(NotRunning, match="started before"):
        await coordinator.start()
    await coordinator.stop()
    with pytest.raises(NotRunning, match="does not run"):
        await coordinator.message_handler.process_message({"type": "task_submitted", "task_id": "t1"})
    await coordinator.stop()


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5])
async def test_a_stop_in_the_middle_of_a_start_leaves_nothing_running(
    seconds: float, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    config = CoordinatorConfig(
        name=topic_prefix.rstrip("."), broker_url=f"kafka://{kafka}", monitoring_port=0, data_dir=tmp_path
    )
    coordinator = CoordinatorAgent(config)
    starting = asyncio.ensure_future(coordinator.start())
    await asyncio.sleep(seconds)
    await asyncio.wait_for(coordinator.stop(), 5)
    await asyncio.wait([starting])
    await asyncio.sleep(0.1)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left
    assert coordinator.engine.failure is None


async def test_what_a_request_cannot_mean_is_refused_with_what_it_can(coordinator: CoordinatorAgent) -> None:
    for path, advice in (
        ("/v1/tasks?limit=many", "limit must be an integer between 1 and 100000"),
        ("/v1/tasks?limit=%D9%A3", "limit must be an integer"),
        ("/v1/tasks?state=bogus", "there are pending, assigned, running, completed, failed, cancelled"),
        ("/v1/agents?state=bogus", "there are active, idle, busy, draining, offline, error, drained"),
        ("/v1/agents?sate=idle", "'sate'; there are fleet, state, limit"),
        ("/v1/summary?state=idle", "'state'; there are fleet"),
        ("/v1/fleets?fleet=default", "'fleet'; there are none"),
        ("/v1/summary?fleet=no%20spaces", "'no spaces' cannot be a fleet's name; give 1 to 64 of"),
        ("/v1/summary?fleet=", "'' cannot be a fleet's name"),
    ):
        status, problem = await get(coordinator, path)
        assert status == 400, path
        assert advice in orjson.loads(problem)["detail"]


async def test_a_missing_broker_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = load_settings(
        kafka_bootstrap_servers="127.0.0.1:1", http_port=0, data_dir=tmp_path, start_timeout=1.0
    )
    coordinator = CoordinatorAgent(settings)
    with pytest.raises(BrokerUnreachable, match="coordinator kafka"):
        await coordinator.start()
    await coordinator.stop()
