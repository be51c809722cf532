"""How a partition's state becomes durable: four steps in an order that makes any crash between them harmless.

What a crash leaves behind, after which step:

- before ②'s mark is in the changelog: rows without a mark do not count; the records since the last checkpoint are
  folded again, and put out the same outputs once more (at least once, with equal bytes);
- after ②: the local store catches up from the changelog;
- after ③: the group's offset is behind. Nobody reads it to find the position; it shows the lag, to people and to
  other workers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from aiokafka.errors import KafkaError

from models.fold import Record
from streams.engine.changelog import intruders, mark_key, mark_value, row_header
from streams.engine.errors import (
    ChangelogNotWritten,
    ColdRowsLost,
    Fenced,
    NotDelivered,
    OutputsNotDelivered,
    PositionWentBack,
)
from streams.engine.lane import Message
from streams.engine.producer import EngineProducer
from streams.engine.store import StoreMeta
from streams.engine.task import PartitionTask, PendingCheckpoint
from streams.failpoints import failpoint

log = logging.getLogger("coordinator.engine")

CHANGELOG_BATCH_BYTES = 4 << 20
"""A Kafka batch is appended whole or not at all, so a checkpoint that fits into one cannot be torn."""

ReadRange = Callable[[int, int, int], Awaitable[Sequence[Record]]]
"""``(partition, start, end)``: the records of the changelog in between."""
CommitOffsets = Callable[[Mapping[tuple[str, int], int]], Awaitable[bool]]
"""Says whether all of them could be committed."""
OnFenced = Callable[[PartitionTask, Fenced], None]


class Checkpointer:
    """Takes the checkpoints of all partitions of one table."""

    def __init__(
        self,
        *,
        changelog: str,
        producer: EngineProducer,
        read_range: ReadRange,
        commit_offsets: CommitOffsets,
        on_fenced: OnFenced,
    ) -> None:
        self._changelog = changelog
        self._producer = producer
        self._read_range = read_range
        self._commit_offsets = commit_offsets
        self._on_fenced = on_fenced
        self._one_at_a_time = asyncio.Lock()
        self.taken = 0
        """Partition checkpoints completed."""
        self.rows_written = 0
        self.last_seconds = 0.0
        """How long the last one took."""

    async def take(self, tasks: Sequence[PartitionTask], row_limit: int | None = None) -> None:
        """Save the state of these partitions as of now.

        1. Outputs of all records before the position are acked.
        2. Changed rows and a closing mark, with that position, are acked in the changelog.
        3. The local store holds the same rows, in one atomic write. What is more than ``row_limit`` rows of an
           evictable table may leave memory then.
        4. The group's offset is committed; advisory, and tried again at the next checkpoint if it fails.

        Partitions that turn out to belong to somebody else are reported as fenced and left out from step 3 on.

        Raises:
            OutputsNotDelivered: in step 1.
            ChangelogNotWritten: in step 2.
            ColdRowsLost: in step 3, if the local store of a partition fails that has rows nowhere else at hand.
            PositionWentBack: never, we hope.
        """
        async with self._one_at_a_time:
            started = time.monotonic()
            pending = [task.begin_checkpoint() for task in tasks if task.has_news]
            try:
                if pending:
                    failpoint("checkpoint.begun")
                await self._await_outputs(pending)  # 1
                failpoint("checkpoint.outputs-acked")
                owned = await self._write_changelog(pending)  # 2
                failpoint("checkpoint.changelog-acked")
            except BaseException as error:
                for checkpoint in pending:  # what was dirty is forgotten: these rows must not be saved later
                    checkpoint.task.failure = checkpoint.task.failure or error
                raise
            # A task may have been given up while its rows were under way: then its store is another's by now.
            owned = [checkpoint for checkpoint in owned if checkpoint.task.failure is None]
            self._write_stores(owned)  # 3
            if row_limit is not None:
                _make_room(tasks, owned, row_limit)
            failpoint("checkpoint.store-written")
            for checkpoint in owned:
                checkpoint.task.saved_position = checkpoint.mark.position
            await self._commit(tasks)  # 4
            failpoint("checkpoint.committed")
            if pending:
                self.taken += len(owned)
                self.last_seconds = time.monotonic() - started

    # -- step 1 -----------------------------------------------------------------------------------------------

    async def _await_outputs(self, pending: Sequence[PendingCheckpoint]) -> None:
        for checkpoint in pending:
            task = checkpoint.task
            if checkpoint.outputs:
                await asyncio.wait(checkpoint.outputs)  # not ``gather``: cancelling us must not cancel sends
            try:
                for sent in checkpoint.outputs:
                    sent.result()
            except NotDelivered as error:
                raise OutputsNotDelivered(task.table, task.partition, str(error)) from error

    # -- step 2 -----------------------------------------------------------------------------------------------

    async def _write_changelog(self, pending: Sequence[PendingCheckpoint]) -> list[PendingCheckpoint]:
        """Write all partitions side by side; those that this worker still owns."""
        for checkpoint in pending:
            _refuse_to_go_back(checkpoint)
        kept = await asyncio.gather(*(self._write_partition(checkpoint) for checkpoint in pending))
        return [checkpoint for checkpoint, is_owner in zip(pending, kept, strict=True) if is_owner]

    async def _write_partition(self, checkpoint: PendingCheckpoint) -> bool:
        task = checkpoint.task
        gaps: list[tuple[int, int]] = []
        try:
            sent = await self._producer.submit(
                self._changelog, task.partition, changelog_messages(checkpoint), CHANGELOG_BATCH_BYTES
            )
            failpoint("checkpoint.rows-submitted")
            for future, records in sent:
                offset: int = (await future).offset
                if offset < task.changelog_end:
                    raise ChangelogNotWritten(
                        task.table,
                        task.partition,
                        f"{self._changelog} answered offset {offset} after {task.changelog_end - 1}: it lost "
                        "its end or was recreated",
                    )
                if offset > task.changelog_end:
                    gaps.append((task.changelog_end, offset))
                task.changelog_end = offset + records
        except KafkaError as error:
            raise ChangelogNotWritten(
                task.table, task.partition, f"{self._changelog} did not take a checkpoint: {error!r}"
            ) from error
        self.rows_written += len(checkpoint.changes)
        return not gaps or await self._still_owner(task, gaps)

    async def _still_owner(self, task: PartitionTask, gaps: Sequence[tuple[int, int]]) -> bool:
        """Somebody wrote between our records: the next owner, or a former one that does not know it yet."""
        foreign = [
            record for start, end in gaps for record in await self._read_range(task.partition, start, end)
        ]
        fenced, touched = intruders(foreign, task.epoch)
        if fenced:
            error = Fenced(
                task.table,
                task.partition,
                f"another worker took over after epoch {task.epoch}; this one drops its state",
            )
            task.failure = error
            self._on_fenced(task, error)
            return False
        log.warning(
            "former owner wrote",
            extra={"table": task.table, "partition": task.partition, "rows": len(touched)},
        )
        task.repairs.update(touched)
        return True

    # -- step 3 -----------------------------------------------------------------------------------------------

    def _write_stores(self, owned: Sequence[PendingCheckpoint]) -> None:
        for checkpoint in owned:
            task, mark = checkpoint.task, checkpoint.mark
            if task.store.failure is not None:
                continue  # dropped before: it would miss the rows of then
            meta = StoreMeta.after(mark, self._changelog, task.changelog_end)
            try:
                task.store.save(checkpoint.changes, meta, lambda task=task: task.cold_rows)  # type: ignore[misc]
            except ColdRowsLost as error:
                task.failure = error
                raise

    # -- step 4 -----------------------------------------------------------------------------------------------

    async def _commit(self, tasks: Sequence[PartitionTask]) -> None:
        """Commit what is not known to be committed: also what failed before, and what a former owner left.

        No state depends on it, but people and tools read it, and other workers wait for it with their ticks.
        """
        due: dict[tuple[str, int], int] = {}
        for task in tasks:
            saved = task.saved_position
            if task.failure is None and saved is not None and saved != task.committed_position:
                due[task.topic, task.partition] = saved
        if not due or not await self._commit_offsets(due):
            return
        for task in tasks:
            if (task.topic, task.partition) in due:
                task.committed_position = due[task.topic, task.partition]


def _make_room(tasks: Sequence[PartitionTask], owned: Sequence[PendingCheckpoint], row_limit: int) -> None:
    saved = {id(checkpoint.task): checkpoint.changes for checkpoint in owned}
    for task in tasks:
        task.make_room(row_limit, saved.get(id(task), ()))


def _refuse_to_go_back(checkpoint: PendingCheckpoint) -> None:
    """Paranoid on purpose: a position that falls would fold records twice, and nothing later could notice."""
    task = checkpoint.task
    if task.saved_position is not None and checkpoint.mark.position < task.saved_position:
        raise PositionWentBack(
            task.table,
            task.partition,
            f"checkpoint at {checkpoint.mark.position} after one at {task.saved_position}; please report this",
        )


def changelog_messages(checkpoint: PendingCheckpoint) -> Iterator[Message]:
    """What a checkpoint writes, in order: tombstones of earlier deletions, rows, the mark."""
    mark = checkpoint.mark
    header = row_header(mark.epoch, mark.position)
    for key in checkpoint.tombstones:
        yield key, None, ()
    for key, payload in checkpoint.changes.items():
        yield key, header if payload is None else header + payload, ()
    yield mark_key(mark.epoch, checkpoint.mark_turn), mark_value(mark), ()
