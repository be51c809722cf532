"""An agent that is nothing but a Kafka client and JSON, as one in another language would be."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


class Wire:
    """Appends raw values to the events topic and reads what comes out of the others."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        self._consumer = AIOKafkaConsumer(
            *(prefix + topic for topic in ("directives", "results", "alerts", "dead-letters")),
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self.seen: list[tuple[str, Any]] = []
        """Topic and record, in the order of arrival."""

    async def __aenter__(self) -> Wire:
        await self._producer.start()
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def say(self, value: bytes | dict[str, object], key: bytes | None = None, **where: Any) -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        await self._producer.send_and_wait(self._prefix + "events", raw, key=key, **where)

    async def hear(self, topic: str, seconds: float, **fields: object) -> dict[str, Any]:
        """The next value on ``topic`` with these fields that was not heard before."""
        async with asyncio.timeout(seconds):
            while True:
                for number, (at, record) in enumerate(self.seen):
                    value = _json(record.value)
                    if at == topic and fields.items() <= value.items():
                        del self.seen[number]
                        return value
                await self._read()

    async def hear_record(self, topic: str, seconds: float) -> Any:
        """The next record on ``topic``, uninterpreted."""
        async with asyncio.timeout(seconds):
            while True:
                for number, (at, record) in enumerate(self.seen):
                    if at == topic:
                        del self.seen[number]
                        return record
                await self._read()

    async def _read(self) -> None:
        for place, records in (await self._consumer.getmany(timeout_ms=200)).items():
            self.seen += [(place.topic.removeprefix(self._prefix), record) for record in records]


def _json(raw: bytes | None) -> dict[str, Any]:
    try:
        value = orjson.loads(raw or b"null")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
