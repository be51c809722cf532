"""The other side of the SDK: writes and reads the contract's records on the real Kafka, as a coordinator would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from coordinator import Agent
from coordinator.agent import Handler

Event = dict[str, Any]


@dataclass
class Peer:
    """Stands where the coordinator stands: hears every event, sends directives and results."""

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    prefix: str
    events: list[Event] = field(default_factory=list)
    _number: int = 0

    @classmethod
    async def at(cls, bootstrap: str, prefix: str) -> Self:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await asyncio.gather(producer.start(), consumer.start())
        events = [TopicPartition(prefix + "events", number) for number in range(4)]
        consumer.assign(events)
        for place in events:
            # Not by the reset policy: where a fresh topic has no leader yet, aiokafka tries that once and no more.
            consumer.seek(place, 0)
        return cls(producer, consumer, prefix)

    async def close(self) -> None:
        await asyncio.gather(self.producer.stop(), self.consumer.stop())

    async def hear(
        self, wanted: Callable[[Event], bool], *, count: int = 1, seconds: float = 10.0
    ) -> list[Event]:
        """Wait until so many such events have been heard since the beginning; all of them."""
        give_up = time.monotonic() + seconds
        while len(found := [event for event in self.events if wanted(event)]) < count:
            left = give_up - time.monotonic()
            assert left > 0, f"heard {len(found)} of {count}; all events: {self.events}"
            for records in (await self.consumer.getmany(timeout_ms=int(min(left, 0.2) * 1000))).values():
                self.events += [
                    {
                        **orjson.loads(record.value),
                        "_key": record.key.decode(),
                        "_partition": record.partition,
                    }
                    for record in records
                ]
        return found

    async def answers(self, directive_id: str, *outcomes: str, seconds: float = 10.0) -> list[Event]:
        """Wait until a directive has been answered in these ways, in this order, progress aside."""

        def to_this(event: Event) -> bool:
            return event["type"] == "directive_response" and event["directive_id"] == directive_id

        heard = await self.hear(
            lambda event: to_this(event) and event["outcome"] != "progress",
            count=len(outcomes),
            seconds=seconds,
        )
        assert [event["outcome"] for event in heard] == list(outcomes), heard
        return heard

    async def direct(self, type_: str, agent_id: str, **fields: Any) -> Event:
        """Send a directive; without a number of its own it gets the next one."""
        self._number += 1
        now = time.time()
        directive = {
            "directive_id": f"default.{self._number}.0",
            "type": type_,
            "agent_id": agent_id,
            "fleet": "default",
            "issued_at": now,
            "ack_by": now + 10,
            "ack_timeout": 10.0,
            "payload": None,
            "cause": {"offset": self._number, "events": []},
            **fields,
        }
        await self.repeat(directive)
        return directive

    async def assign(self, agent_id: str, task_id: str, epoch: int = 1, **fields: Any) -> Event:
        run_timeout = fields.pop("run_timeout", 60.0)
        assignment = {
            "task_id": task_id,
            "epoch": epoch,
            "attempt": epoch,
            "run_timeout": run_timeout,
            "expires_at": time.time() + run_timeout,
            **fields,
        }
        return await self.direct("assign_task", agent_id, **assignment)

    async def repeat(self, directive: Event) -> None:
        """Deliver a directive, once more perhaps."""
        await self._send("directives", directive["agent_id"], directive)

    async def result(self, type_: str, task_id: str, **fields: Any) -> None:
        value = {"type": type_, "task_id": task_id, "fleet": "default", "attempt": 1, "epoch": 1, **fields}
        await self._send("results", task_id, value)

    async def _send(self, topic: str, key: str, value: Event) -> None:
        await self.producer.send_and_wait(self.prefix + topic, orjson.dumps(value), key=key.encode())


@asynccontextmanager
async def running(
    agent: Agent, peer: Peer, handler: Handler | None = None, *, starts: int = 1
) -> AsyncIterator[None]:
    """Run an agent until the end of the block, which begins when its n-th registration has been heard."""
    run = asyncio.create_task(agent.run(handler))
    try:
        await peer.hear(lambda event: event["type"] == "agent_registered", count=starts)
        yield
    finally:
        await agent.stop()
        await run
