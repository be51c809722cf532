"""Where an auditor's records come from: the topics of a cluster, read without a trace, or an archive of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from models.fold import Record
from streams.offsets import Start
from streams.reader import Extent, TopicReader

LOGS = ("events", "fleet")
"""Topics that everything else follows from."""
OUTPUTS = ("directives", "results", "reports", "alerts", "dead-letters")
"""Topics that hold what the folds put out, and nothing else."""
Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many records are done, of how many."""
SETTLE = 1.0
"""Seconds in which a running coordinator has put out what follows from a record of the fleet log."""


class History(Protocol):
    """Records by topic (logical name) and partition."""

    @property
    def prefix(self) -> str:
        """What full names of topics begin with."""

    async def cluster_id(self) -> str | None: ...

    async def extents(self, topic: str) -> dict[int, Extent]:
        """What each partition holds now."""

    async def settled(self) -> dict[int, int]:
        """For each partition of the fleet log an offset: what follows from the records before it stands in the
        outputs by now, if anybody has put it out."""

    async def offset_at(self, topic: str, partition: int, time: int) -> int | None:
        """The first offset that was appended at or after this epoch time, in milliseconds; ``None`` if there is
        none yet."""

    def batches(self, topic: str, partition: int, extent: Extent) -> AsyncGenerator[Sequence[Record], None]:
        """The records of an extent, in order, many at a time."""


class KafkaHistory:
    """A cluster; use it with ``async with``. Each partition is read by a connection of its own, once at a time."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.prefix = prefix
        self._bootstrap = bootstrap
        self._stack = AsyncExitStack()
        self._readers: dict[tuple[str, int], TopicReader] = {}

    async def __aenter__(self) -> Self:
        self._reader = await self._stack.enter_async_context(TopicReader(self._bootstrap, self.prefix))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def cluster_id(self) -> str | None:
        return await self._reader.cluster_id()

    async def extents(self, topic: str) -> dict[int, Extent]:
        return await self._reader.extents(topic)

    async def settled(self) -> dict[int, int]:
        fleet = await self.extents("fleet")
        await asyncio.sleep(SETTLE)
        return ends_of(fleet)

    async def offset_at(self, topic: str, partition: int, time: int) -> int | None:
        return (await self._reader.offsets_at(topic, time, [partition]))[partition]

    async def batches(
        self, topic: str, partition: int, extent: Extent
    ) -> AsyncGenerator[Sequence[Record], None]:
        if extent.beginning >= extent.end:
            return
        reader = self._readers.get((topic, partition))
        if reader is None:
            reader = await self._stack.enter_async_context(TopicReader(self._bootstrap, self.prefix))
            self._readers[topic, partition] = reader
        async with aclosing(reader.batches(topic, partition, extent)) as batches:
            async for batch in batches:
                yield batch


@dataclass(frozen=True, slots=True)
class Held:
    """What a history holds, as of one look at it."""

    topics: dict[str, dict[int, Extent]]
    """The extents of all partitions, by topic. Nothing in an output stems from beyond the others' ends."""
    settled: dict[int, int]
    """See :meth:`History.settled`."""


async def look_at(history: History) -> Held:
    """What all topics hold now.

    Somebody may be appending meanwhile, so what stems from something else is looked at before it.
    """
    settled = await history.settled()
    outputs = {topic: await history.extents(topic) for topic in OUTPUTS}
    fleet = await history.extents("fleet")
    return Held({"events": await history.extents("events"), "fleet": fleet, **outputs}, settled)


async def offset_of_start(history: History, topic: str, partition: int, extent: Extent, start: Start) -> int:
    """The offset that a start names in a partition, inside its extent."""
    at = await history.offset_at(topic, partition, start.number) if start.kind == "time" else None
    return start.offset(extent.beginning, extent.end, at)


def ends_of(extents: Mapping[int, Extent]) -> dict[int, int]:
    """By partition."""
    return {partition: extent.end for partition, extent in extents.items()}


class Feed:
    """The records of one partition, up to its extent's end; the next ones are at hand."""

    def __init__(self, history: History, topic: str, partition: int, extent: Extent) -> None:
        self.partition = partition
        self.extent = extent
        self._history = history
        self._topic = topic
        self._reads_to = extent.end
        self._batches = history.batches(topic, partition, extent)
        self._batch: Sequence[Record] = ()
        self._next = 0

    def extend(self, end: int) -> None:
        """The partition has grown: what has come is read when all before it has been."""
        if end > self.extent.end:
            self.extent = Extent(self.extent.beginning, end)

    async def peek(self) -> Record | None:
        """The next record; ``None`` at the end."""
        while self._next >= len(self._batch):
            batch = await anext(self._batches, None)
            if batch is not None:
                self._batch, self._next = batch, 0
            elif self._reads_to < self.extent.end:
                more = Extent(self._reads_to, self.extent.end)
                self._batches = self._history.batches(self._topic, self.partition, more)
                self._reads_to = more.end
            else:
                return None
        return self._batch[self._next]

    @property
    def position(self) -> int:
        """The offset of the next record, as far as that is known."""
        if self._next < len(self._batch):
            return self._batch[self._next].offset
        return self._batch[-1].offset + 1 if self._batch else self.extent.beginning

    def skip(self) -> None:
        """The record that :meth:`peek` returned is done with."""
        self._next += 1

    async def batch(self) -> Sequence[Record]:
        """All that is at hand, at least one record; none at the end."""
        if await self.peek() is None:
            return ()
        batch = self._batch[self._next :]
        self._next = len(self._batch)
        return batch

    async def close(self) -> None:
        """Read no further."""
        await self._batches.aclose()
