"""A changelog as a list, with owners that crash, sleep and wake up, and compaction as Kafka does it.

Drives the real task, encoding and replay; only Kafka is a list here. What holds at any moment is in
:meth:`World.check`.
"""

from __future__ import annotations

from pathlib import Path

from models.fold import LogRecord
from streams.batches import RecordBatch
from streams.engine.changelog import Replay, fence_key, hash_rows, intruders, row_key
from streams.engine.checkpoint import changelog_messages
from streams.engine.producer import Message
from streams.engine.store import LocalStore
from streams.engine.task import PartitionTask
from tests.unit.streams.engine.folds import NumbersFold, log_of

Events = list[tuple[bytes, bytes | None]]


class World:
    def __init__(self) -> None:
        self.log: list[LogRecord] = []
        self.end = 0
        self.committed: dict[str, int] = {}
        """The rows that a reader must find: those of the last complete checkpoint of a rightful owner."""
        self.committed_position = 0
        self.safe_to_compact = 0
        """Up to here all that does not count was repaired, long enough ago."""
        self.zombies: list[PartitionTask] = []
        self.owner: PartitionTask | None = None
        self.foreign: list[LogRecord] = []
        """What zombies wrote since the owner's last checkpoint."""
        self.take_over()

    def take_over(self) -> None:
        """A new owner restores from the whole log."""
        assert self.owner is None
        fence = self.append((fence_key(), b"{}", ()))
        replay = Replay()
        assert replay.apply(self.log, fence)
        mark = replay.mark
        task = PartitionTask(
            table="t",
            topic="source",
            partition=0,
            fold=NumbersFold(),
            store=LocalStore(Path("/nonexistent"), "t", 0),
            position=mark.position if mark else 0,
            epoch=fence,
        )
        hashes, digest = hash_rows(replay.rows)
        task.fill(replay.rows, hashes, digest)
        task.repairs, task.tombstones_due = dict(replay.repairs), dict(replay.deleted)
        self.owner, self.foreign = task, []
        assert self.content(task) == self.committed
        assert task.position == self.committed_position

    def fold(self, events: Events, task: PartitionTask | None = None) -> None:
        task = task or self.current
        records = log_of(events, start=task.position)
        task.fold_batch(RecordBatch("source", 0, task.position, task.position + len(records), records, 0))

    def checkpoint(self, zombie_after: int | None = None, zombie_part: float = 1.0) -> None:
        """A complete one; a zombie may write after so many of its messages."""
        owner = self.current
        pending = owner.begin_checkpoint()
        for index, message in enumerate(changelog_messages(pending)):
            if index == zombie_after and self.zombies:
                self.zombie_writes(zombie_part)
            self.append(message)
        fenced, touched = intruders(self.foreign, owner.epoch)
        assert not fenced
        owner.repairs.update(touched)
        owner.saved_position = pending.mark.position
        self.foreign = []
        self.committed, self.committed_position = self.content(owner), owner.position
        if not owner.repairs:
            self.safe_to_compact = self.end

    def tear(self, part: float) -> None:
        """The owner crashes after this part of a checkpoint."""
        messages = list(changelog_messages(self.current.begin_checkpoint()))
        for message in messages[: min(len(messages) - 1, int(len(messages) * part))]:
            self.append(message)
        self.owner = None

    def pause(self) -> None:
        """The group thinks that the owner is dead; it only sleeps."""
        self.zombies.append(self.current)
        self.owner = None

    def zombie_writes(self, part: float = 1.0) -> None:
        """The longest asleep wakes up and writes this part of a checkpoint; then it learns that it was fenced."""
        start = self.end
        messages = list(changelog_messages(self.zombies.pop(0).begin_checkpoint()))
        for message in messages[: int(len(messages) * part)]:
            self.append(message)
        self.foreign += [record for record in self.log if record.offset >= start]

    def compact(self, boundary: int) -> None:
        last = {record.key: record.offset for record in self.log if record.offset < boundary}
        self.log = [
            record for record in self.log if record.offset >= boundary or last[record.key] == record.offset
        ]

    def check(self) -> None:
        """A reader of the log finds exactly what was committed last, and can prove it."""
        replay = Replay()
        assert replay.apply([*self.log, LogRecord(self.end, 0, fence_key(), b"{}")], self.end)
        assert replay.proves_itself(hash_rows(replay.rows)[1])
        assert set(replay.rows) == {row_key("numbers", key) for key in self.committed}
        assert (replay.mark.position if replay.mark else 0) == self.committed_position

    def append(self, message: Message) -> int:
        key, value, _ = message
        self.log.append(LogRecord(self.end, 0, key, value))
        self.end += 1
        return self.end - 1

    @property
    def current(self) -> PartitionTask:
        assert self.owner is not None
        return self.owner

    @staticmethod
    def content(task: PartitionTask) -> dict[str, int]:
        assert isinstance(task.fold, NumbersFold)
        return task.fold.content
