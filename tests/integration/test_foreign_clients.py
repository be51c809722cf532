"""What others bring: clients on librdkafka, as kcat and most languages use it, with nothing but JSON.

They place records by CRC32, or at random without a key, so most land in another partition than they belong into.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer

from models.partition import partition_of
from streams.service import CoordinatorAgent

EVENTS_PARTITIONS = 4


class Kcat:
    """``kcat -P`` and ``kcat -C -o beginning``."""

    def __init__(self, bootstrap: str, prefix: str, **settings: str) -> None:
        self._prefix = prefix
        self._producer = Producer({"bootstrap.servers": bootstrap, **settings})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"{prefix}kcat", "auto.offset.reset": "earliest"}
        )

    def say(self, line: str | bytes, key: str | None = None, **where: int) -> None:
        self._producer.produce(self._prefix + "events", line, key, **where)
        assert self._producer.flush(20) == 0

    def listen(self, topic: str) -> None:
        self._consumer.subscribe([self._prefix + topic])

    async def hear(self) -> Message:
        message = await asyncio.to_thread(self._consumer.poll, 20)
        assert message is not None, "nothing came"
        assert message.error() is None
        return message

    def close(self) -> None:
        self._consumer.close()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_three_lines_of_json_register_an_agent_submit_a_task_and_answer_its_directive(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str, codec: str
) -> None:
    kcat = Kcat(kafka, topic_prefix, **{"compression.type": codec})
    try:
        kcat.listen("directives")
        kcat.say('{"type":"status_update","agent_id":"a1","status":"active"}')
        kcat.say('{"type":"task_submitted","task_id":"t1"}')
        directive = json.loads((await kcat.hear()).value())
        assert (directive["type"], directive["agent_id"]) == ("assign_task", "a1")
        answer = {"type": "directive_response", "agent_id": "a1", "outcome": "completed", "result": "hi"}
        kcat.say(json.dumps({**answer, "directive_id": directive["directive_id"]}))
        kcat.listen("results")
        result = await kcat.hear()
        assert result.key() == b"t1"
        assert json.loads(result.value())["result"] == "hi"
    finally:
        kcat.close()


async def test_a_record_in_every_wrong_partition_counts_once_and_where_it_belongs(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    kcat = Kcat(kafka, topic_prefix)
    try:
        for number in range(40):
            agent_id = f"agent-{number}"
            kcat.say(json.dumps({"type": "status_update", "agent_id": agent_id, "status": "idle"}), agent_id)
        misplaced = sum(
            zlib.crc32(agent_id.encode()) % EVENTS_PARTITIONS
            != partition_of(agent_id.encode(), EVENTS_PARTITIONS)
            for agent_id in (f"agent-{number}" for number in range(40))
        )
        assert misplaced > 20, "librdkafka places by CRC32"
        await until(lambda: len(coordinator.state_manager.agent_states) == 40)
        counted = {"rekeyed": 0, "applied": 0}
        for task in coordinator.agents_table.tasks.values():
            for outcome in counted:
                counted[outcome] += task.fold.outcomes[outcome]  # type: ignore[attr-defined]
        assert counted == {"rekeyed": misplaced, "applied": 40}
    finally:
        kcat.close()


async def test_a_broken_line_lands_in_dead_letters_untouched(
    coordinator: CoordinatorAgent, kafka: str, topic_prefix: str
) -> None:
    kcat = Kcat(kafka, topic_prefix)
    try:
        kcat.listen("dead-letters")
        kcat.say(b'{"type":"status_up\xff', "any key", partition=2)
        letter = await kcat.hear()
        headers: dict[str, Any] = dict(letter.headers() or ())
        assert (letter.key(), letter.value()) == (b"any key", b'{"type":"status_up\xff')
        assert headers["coord-origin"] == f"{topic_prefix}events/2/{0}".encode()
        assert headers["coord-error"].startswith(b"bytes: ")
    finally:
        kcat.close()


async def until(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")
