"""How partitions are opened: fence, local copy, tail of the changelog, proof, position. In bulk, before any fold.

Per partition, in this order:

1. A fence goes into the changelog: it shuts out the former owner, and it is where reading ends. No arithmetic
   with high watermarks, no waiting on an empty log.
2. If nobody wrote since this worker's own last record, its hot state is taken up again (a rebalance that came
   back). Otherwise the local store is loaded, or dropped on any doubt.
3. The changelog is read from there to the fence. Its first record must be the mark of the local copy, or the copy
   is of another log (another cluster, a recreated topic). Count and digest of the last mark prove the result: if
   it does not fit, the local copy is dropped and all is read again; if even that does not fit, nothing starts.
4. The position must lie within the source log.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.fold import Fold, Record
from streams.engine.aiokafka_internals import committed_offsets
from streams.engine.changelog import Mark, Replay, digest_of, fence_key, hash_rows, mark_value, row_hash
from streams.engine.errors import (
    ChangelogCorrupt,
    ChangelogLost,
    ChangelogNotWritten,
    InstanceInUse,
    RecordsLost,
    RestoreFailed,
    TopicRecreated,
)
from streams.engine.producer import OUTPUT_BATCH_BYTES, EngineProducer
from streams.engine.store import COLD, LocalStore, Snapshot, StoreDamaged, StoreMeta
from streams.engine.task import PartitionTask, evictable
from streams.failpoints import failpoint
from streams.fetching import Reader

log = logging.getLogger("coordinator.engine")

_READ_TIMEOUT = 1.0
_READ_RECORDS = 20_000

Progress = Callable[[str], None]


class Owner(msgspec.Struct, frozen=True):
    """Who set a fence; its value."""

    instance: str
    """Its name in the consumer group; empty for a member like any other."""
    pid: int
    started: int = 0
    """Nanoseconds since 1970 of its machine's clock."""

    @property
    def since(self) -> tuple[int, int]:
        """Orders processes by when they started; no two of them are equal."""
        return self.started, self.pid


_decode_owner = msgspec.json.Decoder(Owner).decode


@dataclass(frozen=True, slots=True)
class Source:
    """Which table is restored, and from what."""

    table: str
    topic: str
    """Full name of the source topic."""
    changelog: str
    make_fold: Callable[[int], Fold]
    open_store: Callable[[int], LocalStore]
    trust_store_for: float
    """Seconds after which the tail of the changelog may have been compacted, so a local copy is not enough."""


@dataclass(slots=True)
class _Restoring:
    partition: int
    fence: int
    fold: Fold
    store: LocalStore
    snapshot: Snapshot | None
    replay: Replay
    anchored: bool = False
    """Whether the mark of the local copy was met where it must stand in the changelog."""
    hashes: dict[bytes, int] = field(default_factory=dict)
    digest: int = 0
    distrusted: tuple[StoreMeta, str] | None = None
    """The local copy that was there, and why it is not used. It stays on disk until something better is known."""

    @property
    def start(self) -> int | None:
        """Where to read from: at the local copy's mark; ``None`` is the beginning."""
        return None if self.snapshot is None else self.snapshot.meta.changelog_offset - 1

    def distrust(self, reason: str) -> None:
        """Read all of the changelog, whatever the local copy says."""
        if self.snapshot is not None:
            self.distrusted = self.snapshot.meta, reason
        self.snapshot, self.replay = None, Replay()

    def apply(self, records: Sequence[Record]) -> bool:
        """Advance over the next records; true when there is no need to read on."""
        if self.snapshot is not None and not self.anchored and records:
            meta, first = self.snapshot.meta, records[0]
            self.anchored = first.offset == self.start and first.value == mark_value(meta.mark)
            if not self.anchored:
                return True
            records = records[1:]
        return self.replay.apply(records, self.fence)

    def proves_itself(self) -> bool:
        """Hash what the local copy did not hash already, and compare with the last mark."""
        if self.snapshot is not None and not self.anchored:
            return False
        if self.snapshot is None:
            self.hashes, self.digest = hash_rows(self.replay.rows)
        else:
            self.hashes = self.snapshot.hashes
            for key in self.replay.changed or ():
                payload = self.replay.rows.get(key)
                if payload is None:
                    self.hashes.pop(key, None)
                else:
                    self.hashes[key] = row_hash(key, payload)
            self.digest = digest_of(self.hashes.values())
        return self.replay.proves_itself(self.digest)


class Restorer:
    """Opens partitions of one table."""

    def __init__(
        self,
        source: Source,
        *,
        bootstrap_servers: str,
        producer: EngineProducer,
        reader: Reader,
        group: str,
        instance: str,
        progress: Progress,
    ) -> None:
        self._source = source
        self._bootstrap_servers = bootstrap_servers
        self._producer = producer
        self._reader = reader
        self._group = group
        self._owner = Owner(instance, os.getpid(), time.time_ns())
        self._first_fence: dict[int, int] = {}
        """Of this process, by partition."""
        self._progress = progress
        self.records_read = 0
        """Of the changelog, by the last restore."""
        self.warm = 0
        """Partitions whose hot state the last restore took up again."""

    async def restore(
        self,
        partitions: Collection[int],
        warm: Mapping[int, PartitionTask],
        row_limit: int | None = None,
    ) -> dict[int, PartitionTask]:
        """The tasks of these partitions, ready to fold.

        Args:
            partitions: Of the source topic.
            warm: Given up before, and perhaps still good.
            row_limit: Rows of each evictable table that go into memory; the others stay in the local store.

        Raises:
            PartitionError: one of its kinds, naming what is wrong with which partition.
            RestoreFailed: if Kafka cannot be read.
        """
        collects = gc.isenabled()
        gc.disable()  # rows are no garbage, and looking through them again and again takes a tenth of the time
        try:
            return await self._restore(partitions, warm, row_limit)
        except KafkaError as error:
            raise RestoreFailed(self._source.table, self._source.changelog, error) from error
        finally:
            if collects:
                gc.enable()

    async def _restore(
        self, partitions: Collection[int], warm: Mapping[int, PartitionTask], row_limit: int | None
    ) -> dict[int, PartitionTask]:
        started = time.monotonic()
        self.records_read = 0
        if not partitions:
            return {}  # and ask Kafka nothing: aiokafka never answers about no partitions
        tasks: dict[int, PartitionTask] = {}
        cold: list[_Restoring] = []
        for partition, fence in (await self._fence(partitions)).items():
            task = warm.get(partition)
            if task is not None and task.failure is None and task.changelog_end == fence:
                task.epoch, task.changelog_end = fence, fence + 1
                task.committed_position = None
                tasks[partition] = task
            else:
                if task is not None:
                    task.store.close()
                cold.append(self._begin(partition, fence, row_limit))
        try:
            async with self._consumer() as consumer:
                await self._read_until_proved(consumer, cold)
                for restoring in cold:
                    self._refuse_younger(restoring)
                failpoint("restore.changelog-read")
                bounds = await self._bounds(consumer, partitions)
                for task in tasks.values():  # the warm ones; the others are not open yet
                    check_position(task, *bounds[task.partition])
                await self._refuse_lost_state(cold, bounds)
                for restoring in cold:
                    tasks[restoring.partition] = self._open(restoring, bounds[restoring.partition], row_limit)
        except (
            BaseException
        ):  # a newer rebalance cancels restores; who comes next must find the stores closed
            for restoring in cold:
                restoring.store.close()
            raise
        for partition, task in tasks.items():
            task.catch_up_to = task.high_watermark = bounds[partition][1]
        self.warm = len(tasks) - len(cold)
        log.info(
            "partitions restored",
            extra={
                "table": self._source.table,
                "partitions": sorted(tasks),
                "warm": self.warm,
                "rows": sum(len(task.hashes) for task in tasks.values()),
                "changelog_records": self.records_read,
                "seconds": round(time.monotonic() - started, 3),
            },
        )
        return tasks

    async def read_range(self, partition: int, start: int, end: int) -> list[Record]:
        """The records of one changelog partition in ``[start, end)``."""
        topic_partition = TopicPartition(self._source.changelog, partition)
        records: list[Record] = []
        async with self._consumer() as consumer:
            consumer.assign([topic_partition])
            consumer.seek(topic_partition, start)
            position = start
            while position < end:
                batches = await self._reader(consumer, {topic_partition}, _READ_TIMEOUT, _READ_RECORDS)
                for batch in batches.values():
                    records += [record for record in batch.records if record.offset < end]
                    position = batch.next_offset
        return records

    # -- 1: the fence -----------------------------------------------------------------------------------------

    async def _fence(self, partitions: Collection[int]) -> dict[int, int]:
        """Append a fence to each partition; their offsets."""
        value = msgspec.json.encode(self._owner)
        fences: dict[int, int] = {}
        for partition in sorted(partitions):
            try:
                sent = await self._producer.submit(
                    self._source.changelog, partition, [(fence_key(), value, ())], OUTPUT_BATCH_BYTES
                )
                fences[partition] = (await sent[0][0]).offset
                self._first_fence.setdefault(partition, fences[partition])
            except KafkaError as error:
                raise ChangelogNotWritten(
                    self._source.table,
                    partition,
                    f"{self._source.changelog} does not take a fence: {error!r}",
                ) from error
        failpoint("restore.fenced")
        return fences

    # -- 2: the local copy ------------------------------------------------------------------------------------

    def _begin(self, partition: int, fence: int, row_limit: int | None) -> _Restoring:
        fold, store = self._source.make_fold(partition), self._source.open_store(partition)
        limits = {} if row_limit is None else dict.fromkeys(evictable(fold), row_limit)
        snapshot = None
        try:
            snapshot = store.load(limits)
        except StoreDamaged as error:
            self._drop(store, str(error))
        restoring = _Restoring(partition, fence, fold, store, snapshot, _replay_from(snapshot))
        if snapshot is not None and (doubt := self._doubt(snapshot.meta, fence)):
            restoring.distrust(doubt)
        failpoint("restore.store-loaded")
        return restoring

    def _doubt(self, meta: StoreMeta, fence: int) -> str:
        age = time.time() - meta.saved_at
        if meta.changelog != self._source.changelog:
            return f"it belongs to {meta.changelog}"
        if meta.changelog_offset > fence:
            return f"it is ahead of the changelog ({meta.changelog_offset} > {fence})"
        if age > self._source.trust_store_for:
            return f"it is {age:.0f} s old, and the changelog may have been compacted since"
        return ""

    def _drop(self, store: LocalStore, reason: str) -> None:
        log.warning(
            "local store rebuilt",
            extra={"table": store.table, "partition": store.partition, "reason": reason},
        )
        store.drop(reason)
        store.failure = None  # an empty one may be filled again

    # -- 3: the changelog -------------------------------------------------------------------------------------

    async def _read_until_proved(self, consumer: AIOKafkaConsumer, cold: Sequence[_Restoring]) -> None:
        """Local copy and tail; else all of the changelog; once more, in case compaction ran under the reader."""
        doubtful = list(cold)
        for attempt in range(3):
            await self._read_changelog(consumer, doubtful)
            doubtful = [restoring for restoring in doubtful if not restoring.proves_itself()]
            if not doubtful:
                return
            for restoring in doubtful:
                if attempt == 2:
                    raise _corrupt(self._source, restoring)
                restoring.distrust(
                    "with the changelog's tail it does not give the marked state"
                    if restoring.anchored
                    else f"its last checkpoint is not in {self._source.changelog}: it is of another log",
                )

    async def _read_changelog(self, consumer: AIOKafkaConsumer, wanted: Sequence[_Restoring]) -> None:
        """Replay each partition up to its own fence."""
        left = {TopicPartition(self._source.changelog, item.partition): item for item in wanted}
        if not left:
            return
        consumer.assign(list(left))
        for topic_partition, item in left.items():
            if item.start is None:
                await consumer.seek_to_beginning(topic_partition)
            else:
                consumer.seek(topic_partition, item.start)
        while left:
            batches = await self._reader(consumer, set(left), _READ_TIMEOUT, _READ_RECORDS)
            for topic_partition, batch in batches.items():
                item = left[topic_partition]
                self.records_read += len(batch)
                if item.apply(batch.records):
                    del left[topic_partition]
                self._progress(f"{self._source.table}: {self.records_read} changelog records")
            await asyncio.sleep(0)

    def _refuse_younger(self, restoring: _Restoring) -> None:
        """Make way for another process that began to own partitions under our name after we did."""
        own, first_fence = self._owner, self._first_fence[restoring.partition]
        for offset, value in restoring.replay.fences:
            if offset > first_fence and own.instance and value:
                with contextlib.suppress(msgspec.MsgspecError):  # not a fence of ours
                    other = _decode_owner(value)
                    if other.instance == own.instance and other.since > own.since:
                        raise InstanceInUse(self._source.table, restoring.partition, own.instance, other.pid)

    async def _refuse_lost_state(
        self, cold: Sequence[_Restoring], bounds: Mapping[int, tuple[int, int]]
    ) -> None:
        """No checkpoint means a first start, or a lost changelog; then the log must still have its beginning.

        Who was here before is told by the local copy, and by what the group has committed: never anything before
        the first checkpoint. Kafka forgets it a week after the last worker (``offsets.retention.minutes``).
        """
        doubtful = {}
        for item in cold:
            earliest = bounds[item.partition][0]
            if item.replay.mark is not None or earliest == 0:
                continue
            if item.distrusted is not None and item.distrusted[0].changelog == self._source.changelog:
                meta, _ = item.distrusted
                raise self._lost(
                    item.partition,
                    earliest,
                    f"The local copy in {item.store.directory} has it ({meta.rows} rows as of offset "
                    f"{meta.position}) and stays there",
                )
            doubtful[TopicPartition(self._source.topic, item.partition)] = earliest
        if not doubtful:
            return
        async with self._consumer(self._group) as consumer:
            committed = await committed_offsets(consumer, list(doubtful))
        for place, earliest in doubtful.items():
            if committed[place] > 0:
                raise self._lost(
                    place.partition,
                    earliest,
                    f"There was one: the group {self._group!r} has committed offset {committed[place]}, which it "
                    "does only after a checkpoint; no local copy of it is here",
                )

    def _lost(self, partition: int, earliest: int, evidence: str) -> ChangelogLost:
        return ChangelogLost(self._source.table, partition, self._source.changelog, earliest, evidence)

    # -- 4: the task ------------------------------------------------------------------------------------------

    def _open(self, restoring: _Restoring, bounds: tuple[int, int], row_limit: int | None) -> PartitionTask:
        replay, store = restoring.replay, restoring.store
        mark = replay.mark
        position = bounds[0] if mark is None else mark.position
        task = PartitionTask(
            table=self._source.table,
            topic=self._source.topic,
            partition=restoring.partition,
            fold=restoring.fold,
            store=store,
            position=position,
            epoch=restoring.fence,
        )
        check_position(task, *bounds)
        if restoring.distrusted is not None:
            self._drop(store, restoring.distrusted[1])
        if mark is not None:
            task.saved_position = mark.position
            bring_up_to_date(store, replay, mark, self._source.changelog)
        task.fill(replay.rows, restoring.hashes, restoring.digest, row_limit)
        task.repairs, task.tombstones_due = replay.repairs, replay.deleted
        if task.repairs:
            log.warning(
                "torn rows to rewrite",
                extra={"table": task.table, "partition": task.partition, "rows": len(task.repairs)},
            )
        if mark is None and bounds[0] > 0:
            log.warning(
                "first start does not see the whole log",
                extra={"table": task.table, "partition": task.partition, "earliest": bounds[0]},
            )
        return task

    # -- Kafka ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _consumer(self, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        """One that joins nothing; with a group it can be asked what that has committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20,
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def _bounds(
        self, consumer: AIOKafkaConsumer, partitions: Collection[int]
    ) -> dict[int, tuple[int, int]]:
        """First and next offset of each source partition."""
        source = [TopicPartition(self._source.topic, partition) for partition in partitions]
        first, end = await consumer.beginning_offsets(source), await consumer.end_offsets(source)
        return {at.partition: (first[at], end[at]) for at in source}


def bring_up_to_date(store: LocalStore, replay: Replay, mark: Mark, changelog: str) -> None:
    """Write to a local store what the changelog had more.

    Raises:
        ColdRowsLost: if that fails, and rows were left there. There is no store any more then.
    """
    rows = replay.rows
    changes = rows if replay.changed is None else {key: rows.get(key) for key in replay.changed}
    meta = StoreMeta.after(mark, changelog, replay.after_mark)
    if store.save(changes, meta, lambda: sum(payload is COLD for payload in rows.values())):
        failpoint("restore.store-updated")


def _replay_from(snapshot: Snapshot | None) -> Replay:
    if snapshot is None:
        return Replay()
    return Replay.after(snapshot.meta.mark, snapshot.meta.changelog_offset, snapshot.rows)


def _corrupt(source: Source, restoring: _Restoring) -> ChangelogCorrupt:
    replay = restoring.replay
    return ChangelogCorrupt(
        source.table,
        restoring.partition,
        f"{source.changelog} gives {len(replay.rows)} rows, its last mark says {replay.mark}. The changelog lost "
        "records: restore it, or start under a new application id to fold the source topic from its beginning",
    )


def check_position(task: PartitionTask, first: int, end: int) -> None:
    """Refuse to go on at a place that a log does not have.

    Args:
        task: Wants to read at its position.
        first: Offset at which the log begins.
        end: Offset of the next record that will be appended.

    Raises:
        RecordsLost: if the log begins behind it.
        TopicRecreated: if the log ends before it.
    """
    if task.position < first:
        raise RecordsLost(task.table, task.partition, task.position, first)
    if task.position > end:
        raise TopicRecreated(task.table, task.partition, task.position, end)
