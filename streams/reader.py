"""Reading the coordinator's topics without being a worker: a part of one in order, or all of one to fold it.

Nothing here joins a consumer group or commits anything, so reading disturbs nobody. What to read is in
``streams.offsets``; how it looks is up to the caller.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from models.fold import Headers, Record
from streams.errors import BrokerUnreachable, StreamsError
from streams.fetching import choose_reader
from streams.offsets import BEGINNING, Span
from streams.topics import CONNECT_TIMEOUT, create_command

SILENCE = 30.0
"""Seconds without a record that is known to be there, after which reading fails instead of waiting on."""

PROBE_INTERVAL = 3.0
"""Seconds without a record after which a broker is asked whether it is there, and that it has to answer."""

_BATCH = 10_000
_FETCH_WAIT = 0.25
"""Seconds."""


class TopicMissing(StreamsError):
    """A topic that should be read does not exist.

    Attributes:
        topic: Its full name.
    """

    def __init__(self, topic: str, bootstrap: str, prefix: str) -> None:
        super().__init__(
            f"there is no topic {topic} at {bootstrap}; check --prefix and --bootstrap, or create the topics "
            f"with: {create_command(bootstrap, prefix)}"
        )
        self.topic = topic


@dataclass(frozen=True, slots=True)
class Stored:
    """One record where it stands in a topic."""

    topic: str
    """Logical name, without prefix."""
    partition: int
    offset: int
    timestamp: int
    """Epoch milliseconds; on the topics that fold, the broker's append time."""
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds at one moment: offsets ``[beginning, end)``."""

    beginning: int
    end: int


class TopicReader:
    """A connection for reading; use it with ``async with``."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._consumer: Any = None
        self._read = choose_reader()

    async def __aenter__(self) -> TopicReader:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            fetch_max_wait_ms=round(_FETCH_WAIT * 1_000),
            max_partition_fetch_bytes=4 << 20,
            auto_offset_reset="earliest",
        )
        try:
            # A broker that takes the connection and then says nothing holds aiokafka for 40 seconds.
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._consumer.start()
        except TimeoutError as error:
            await self._consumer.stop()
            raise BrokerUnreachable.at(self._bootstrap, CONNECT_TIMEOUT) from error
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise BrokerUnreachable.at(self._bootstrap) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def cluster_id(self) -> str | None:
        """What the cluster calls itself."""
        client = self._consumer._client
        answer = await client.send(client.get_random_node(), MetadataRequest([]))
        found: str | None = getattr(answer, "cluster_id", None)
        return found

    async def offsets_at(self, topic: str, time: int, partitions: Collection[int]) -> dict[int, int | None]:
        """For each of these partitions the first offset that was appended at or after this epoch time, in
        milliseconds; ``None`` if there is none yet."""
        places = {TopicPartition(self._prefix + topic, number): number for number in partitions}
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, time))
        return {number: found[place].offset if found.get(place) else None for place, number in places.items()}

    async def extents(self, topic: str) -> dict[int, Extent]:
        """What each partition of the topic holds now.

        Raises:
            TopicMissing: if there is no such topic; asking does not create it.
        """
        name = self._prefix + topic
        if name not in await self._consumer.topics():
            raise TopicMissing(name, self._bootstrap, self._prefix)
        cluster = await self._consumer._client.fetch_all_metadata()
        places = [TopicPartition(name, number) for number in sorted(cluster.partitions_for_topic(name) or ())]
        beginnings = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        return {place.partition: Extent(beginnings[place], ends[place]) for place in places}

    async def records(
        self,
        topic: str,
        span: Span = BEGINNING,
        *,
        follow: bool = False,
        answering: Callable[[bool], None] = lambda answers: None,
    ) -> AsyncGenerator[Stored, None]:
        """The records of a span, oldest first across partitions; with ``follow`` new ones as they come.

        Up to the ends at the time of the call the order is by append time. After that records come as they
        are fetched, since waiting for a silent partition would hold all others back; ``answering`` is told when
        the broker does not answer any more, and when it does again.
        """
        extents = await self.extents(topic)
        unread = await self._seek(topic, extents, span)
        async for record in self._merged(topic, unread, span.until):
            yield record
        if follow and span.until is None:
            for place, end in unread.items():
                self._consumer.seek(place, end)  # what was appended and fetched meanwhile was left out above
            answers, heard = True, time.monotonic()
            while True:
                records = await self.fresh()
                if records or time.monotonic() > heard + PROBE_INTERVAL:
                    answered, answers = answers, bool(records) or await self._answers()
                    heard = time.monotonic()
                    if answers != answered:
                        answering(answers)
                for record in records:
                    yield record

    async def _answers(self) -> bool:
        """Whether the broker answers; the consumer itself tries again for ever, and says nothing."""
        try:
            async with asyncio.timeout(PROBE_INTERVAL):
                await self._consumer.end_offsets(list(self._consumer.assignment()))
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def batches(
        self, topic: str, partition: int, extent: Extent
    ) -> AsyncGenerator[Sequence[Record], None]:
        """All records of one partition's extent, in bulk and uncopied."""
        place = TopicPartition(self._prefix + topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, extent.beginning)
        position, heard = extent.beginning, time.monotonic()
        while position < extent.end:
            batch = (await self._read(self._consumer, [place], _FETCH_WAIT, _BATCH)).get(place)
            if batch is None:
                self._require_sound(heard)
                continue
            position, heard = batch.next_offset, time.monotonic()
            records = batch.since(extent.beginning)
            if position > extent.end:
                records = [record for record in records if record.offset < extent.end]
            if records:
                yield records

    async def _seek(self, topic: str, extents: dict[int, Extent], span: Span) -> dict[Any, int]:
        """Assign all partitions and seek; returns the end of each one that has something to read."""
        places = {TopicPartition(self._prefix + topic, number): extent for number, extent in extents.items()}
        self._consumer.assign(list(places))
        moments: dict[Any, Any] = {}
        if span.start.kind == "time":
            moments = await self._consumer.offsets_for_times(dict.fromkeys(places, span.start.number))
        unread: dict[Any, int] = {}
        for place, extent in places.items():
            found = moments.get(place)
            offset = span.start.offset(extent.beginning, extent.end, found.offset if found else None)
            self._consumer.seek(place, offset)
            if offset < extent.end:
                unread[place] = extent.end
        return unread

    async def _merged(self, topic: str, unread: dict[Any, int], until: int | None) -> AsyncIterator[Stored]:
        """Merge partitions by append time, fetching only for those that have nothing at hand."""
        waiting: dict[Any, deque[Any]] = {place: deque() for place in unread}
        heads: list[tuple[int, int, int, Any]] = []
        wanted = list(unread)
        while True:
            while wanted:
                fetched = await self._fetch(wanted, [(place, unread[place]) for place in wanted])
                still: list[Any] = []
                for place in wanted:
                    queue = waiting[place]
                    queue.extend(record for record in fetched.get(place, ()) if record.offset < unread[place])
                    if queue:
                        heapq.heappush(heads, (queue[0].timestamp, place.partition, queue[0].offset, place))
                    elif await self._consumer.position(place) < unread[place]:
                        still.append(place)
                wanted = still
            if not heads:
                return
            _, _, _, place = heapq.heappop(heads)
            queue = waiting[place]
            record = queue.popleft()
            if until is not None and record.timestamp >= until:
                continue  # nothing of this partition is wanted any more
            yield self._stored(topic, record)
            if queue:
                heapq.heappush(heads, (queue[0].timestamp, place.partition, queue[0].offset, place))
            elif record.offset + 1 < unread[place]:
                wanted.append(place)

    async def seek_to_ends(self, topics: Sequence[str]) -> None:
        """Make :meth:`fresh` return what is appended to these topics from now on."""
        ends = {
            TopicPartition(self._prefix + topic, number): extent.end
            for topic in topics
            for number, extent in (await self.extents(topic)).items()
        }
        self._consumer.assign(list(ends))
        for place, end in ends.items():
            self._consumer.seek(place, end)

    async def fresh(self) -> list[Stored]:
        """The next records as they come; an empty list when a second passed without any."""
        return self._in_order(await self._consumer.getmany(timeout_ms=1000, max_records=_BATCH))

    async def until_now(self) -> list[Stored]:
        """What :meth:`fresh` would return, up to the ends as they are now; waits for nothing beyond them."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        read: list[Stored] = []
        while behind := [(place, end) for place, end in ends.items() if await self._position(place) < end]:
            read += self._in_order(await self._fetch([place for place, _ in behind], behind))
        return read

    async def _position(self, place: Any) -> int:
        position: int = await self._consumer.position(place)
        return position

    def _in_order(self, fetched: dict[Any, list[Any]]) -> list[Stored]:
        fresh = (record for records in fetched.values() for record in records)
        ordered = sorted(fresh, key=lambda one: (one.timestamp, one.partition, one.offset))
        return [self._stored(record.topic.removeprefix(self._prefix), record) for record in ordered]

    async def _fetch(self, places: Collection[Any], ends: Iterable[tuple[Any, int]]) -> dict[Any, list[Any]]:
        """Fetch until something comes or the ends are reached; fail after :data:`SILENCE` seconds of nothing."""
        since = time.monotonic()
        while True:
            fetched: dict[Any, list[Any]] = await self._consumer.getmany(
                *places, timeout_ms=round(_FETCH_WAIT * 1_000), max_records=_BATCH
            )
            if fetched:
                return fetched
            positions = [(await self._consumer.position(place), end) for place, end in ends]
            if any(position >= end for position, end in positions):
                return {}
            self._require_sound(since)

    def _require_sound(self, since: float) -> None:
        """Nothing has come since then, on the monotonic clock, though more is known to be there."""
        if time.monotonic() > since + SILENCE:
            raise BrokerUnreachable(
                f"{self._bootstrap} sent nothing for {SILENCE:.0f} s although there is more to read; "
                "is the broker down, or its partition without a leader?"
            )

    def _stored(self, topic: str, record: Any) -> Stored:
        return Stored(
            topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )
