"""Replaying history: the fleet log folded again, record by record, as fast as one likes.

What the records cause is handed to whoever listens. The only way to put it into topics is a :class:`Sandbox`,
which writes to no topic outside a prefix of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import NoReturn, Self, TypeAlias

from aiokafka import AIOKafkaProducer

from models.fleet import FleetFold
from models.fold import Output, Record
from models.partition import partition_of
from streams.audit.history import LOGS, OUTPUTS
from streams.errors import ConfigurationError
from streams.reader import TopicReader
from streams.topics import Layout, Partitions, create

_AT_ONCE = 1_000
"""Records that may be on their way to the broker."""

Tell: TypeAlias = Callable[[Record, list[Output]], Awaitable[None]]


class Replay:
    """Folds records, and tells of those from some offset on.

    Args:
        fold: Of the partition, empty.
        first: Offset of the first record that is told of; those before only bring the state there.
        tell: Is told each record and what was put out because of it.
        speed: How many times faster than it happened; ``None`` for as fast as possible.
    """

    def __init__(self, fold: FleetFold, first: int, tell: Tell, speed: float | None = None) -> None:
        self._fold = fold
        self._first = first
        self._tell = tell
        self._speed = speed
        self._last: int | None = None
        self.told = 0

    async def hear(self, records: Sequence[Record]) -> None:
        """Fold these records."""
        for record in records:
            outputs = self._fold.fold([record])
            if record.offset >= self._first:
                await self._wait(record.timestamp)
                await self._tell(record, outputs)
                self.told += 1

    async def _wait(self, timestamp: int) -> None:
        if self._speed is not None and self._last is not None:
            await asyncio.sleep(max(0, timestamp - self._last) / 1_000 / self._speed)
        self._last = timestamp


class Sandbox:
    """Topics under another prefix, which a replay writes into; use it with ``async with``.

    Raises:
        ConfigurationError: if the prefix is that of the history, or somebody has written there already.
    """

    def __init__(self, bootstrap: str, source: str, prefix: str) -> None:
        if prefix == source or not prefix:
            raise ConfigurationError(
                f"--into {prefix!r}: history is never written into itself; give another prefix"
            )
        self._bootstrap = bootstrap
        self._source = source
        self._prefix = prefix
        self._partitions: dict[str, int] = {}
        self._sent: list[asyncio.Future[object]] = []
        self.records = 0

    async def __aenter__(self) -> Self:
        async with TopicReader(self._bootstrap, self._source) as reader:
            topics = (*LOGS, *OUTPUTS)
            self._partitions = {topic: len(await reader.extents(topic)) for topic in topics}
        counts = Partitions(*(self._partitions[topic] for topic in ("events", "fleet", "directives")))
        await create(self._bootstrap, Layout(self._prefix, self._prefix.rstrip("."), counts))
        async with TopicReader(self._bootstrap, self._prefix) as reader:
            for topic in (*LOGS, *OUTPUTS):
                found = await reader.extents(topic)
                if any(extent.end > 0 for extent in found.values()):
                    self._refuse(topic, "has records already")
                if len(found) != self._partitions[topic]:
                    self._refuse(topic, f"has {len(found)} partitions, not {self._partitions[topic]}")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True, linger_ms=5
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.gather(*self._sent)
        finally:
            await self._producer.stop()

    def _refuse(self, topic: str, why: str) -> NoReturn:
        raise ConfigurationError(f"{self._prefix}{topic} {why}; give --into a prefix that nobody uses")

    async def put(self, output: Output) -> None:
        """Append an output to its topic here. What would go into events or fleet log is history already."""
        if output.topic not in OUTPUTS:
            return
        partition = output.partition
        if partition is None:
            partition = partition_of(output.key or b"", self._partitions[output.topic])
        self._sent.append(
            await self._producer.send(
                self._prefix + output.topic,
                output.value,
                key=output.key,
                partition=partition,
                headers=list(output.headers),
            )
        )
        self.records += 1
        if len(self._sent) >= _AT_ONCE:
            await asyncio.gather(*self._sent)
            self._sent.clear()
