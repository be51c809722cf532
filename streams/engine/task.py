"""One partition being folded: its fold, its position, and what is not saved or not sent yet.

Pure bookkeeping without I/O. Rows and position move together, between two awaits: an event that is folded again
after a crash meets exactly the state that it met the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from models.fold import Fold, Output, Record
from streams.batches import RecordBatch
from streams.engine.changelog import Mark, add_digests, row_hash, row_key, split_row_key
from streams.engine.cold import StoredRows
from streams.engine.errors import ColdRowsLost, FoldFailed, OutOfMemory, PartitionPoisoned, RowsUnreadable
from streams.engine.store import COLD, LocalStore

_MIGRATE = (
    "Rows may only gain fields with defaults: run the version that wrote them, or migrate under a new application "
    "id"
)


@dataclass(frozen=True, slots=True)
class PendingCheckpoint:
    """Everything that one checkpoint saves, as of one moment between two batches."""

    task: PartitionTask
    changes: Mapping[bytes, bytes | None]
    """Encoded rows by row key; ``None`` is deleted."""
    tombstones: Sequence[bytes]
    mark: Mark
    mark_turn: int
    outputs: Sequence[asyncio.Future[None]]
    """Sends of all that was put out by records before the mark's position."""


def evictable(fold: Fold) -> list[bytes]:
    """Prefixes of the row keys of its tables that need not be in memory."""
    return [row_key(name, "") for name, table in fold.tables.items() if table.evictable]


class PartitionTask:
    """The state of one source partition, from restore to hand-over."""

    def __init__(
        self,
        *,
        table: str,
        topic: str,
        partition: int,
        fold: Fold,
        store: LocalStore,
        position: int,
        epoch: int,
    ) -> None:
        self.table = table
        self.topic = topic
        """Full name of the source topic."""
        self.partition = partition
        self.fold = fold
        self.store = store

        self.position = position
        """Offset of the next record to fold."""
        self._opened_at = position
        self.saved_position: int | None = None
        """Position of the last complete checkpoint; ``None`` before the first."""
        self.committed_position: int | None = None
        """What the group is known to have committed of this partition; ``None`` if nothing is known."""
        self.epoch = epoch
        """Offset of this owner's fence in the changelog."""
        self.changelog_end = epoch + 1
        """Where the owner's next record must land in the changelog, or somebody else has written."""
        self.high_watermark = position
        """End of the source log, as last heard of."""
        self.catch_up_to = position
        """End of the source log right after the restore."""
        self.failure: BaseException | None = None
        """Set for good when the rows can no longer be trusted; nothing of this task is saved from then on."""

        self.hashes: dict[bytes, int] = {}
        self.digest = 0
        self.repairs: dict[bytes, None] = {}
        """Row keys whose last record in the changelog does not count; rewritten by the next checkpoint."""
        self.tombstones_due: dict[bytes, None] = {}
        """Row keys deleted by the last checkpoint."""
        self.sends: set[asyncio.Future[None]] = set()
        self.send_order = asyncio.Lock()
        self.sought_at = float("-inf")
        """When a gap was last answered by seeking back, on the monotonic clock."""
        self._mark_turn = 0

    def __repr__(self) -> str:
        return f"<PartitionTask {self.table}[{self.partition}] at {self.position}, epoch {self.epoch}>"

    @property
    def lag(self) -> int:
        """Records between the position and the end of the log, as last heard of."""
        return max(0, self.high_watermark - self.position)

    @property
    def unsaved(self) -> int:
        """Records folded since the last checkpoint."""
        return self.position - (self._opened_at if self.saved_position is None else self.saved_position)

    @property
    def has_news(self) -> bool:
        """Whether a checkpoint would save anything."""
        return self.failure is None and (self.position != self.saved_position or bool(self.repairs))

    # -- folding ----------------------------------------------------------------------------------------------

    def fold_batch(self, batch: RecordBatch) -> tuple[Sequence[Record], list[Output]]:
        """Fold what is new of a batch that begins at or before the position.

        Returns:
            The folded records, and their outputs.

        Raises:
            FoldFailed: if the fold raised. The task is poisoned: its rows are neither the old nor the new ones.
            OutOfMemory: if it found no memory, with the same consequence.
            ColdRowsLost: if it needed a row that the local store does not give, with the same consequence.
        """
        if self.failure is not None:
            raise PartitionPoisoned(
                self.table, self.partition, f"takes no more records after {self.failure!r}"
            ) from self.failure
        records = batch.since(self.position)
        try:
            outputs = self.fold.fold(records)
        except ColdRowsLost as error:
            self.failure = error
            raise
        except MemoryError as error:
            self.failure = OutOfMemory()
            raise self.failure from error
        except Exception as error:  # whatever it is, half a batch must never be saved
            self.failure = FoldFailed(self.table, self.partition, self.position, batch.next_offset)
            raise self.failure from error
        self.position = batch.next_offset
        self.high_watermark = max(self.high_watermark, batch.high_watermark)
        return records, outputs

    @contextlib.contextmanager
    def poisoned_by_exceptions(self) -> Iterator[None]:
        """Whatever is raised inside, nothing of this task is saved from then on: its outputs may not be sent."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error
            raise

    # -- rows -------------------------------------------------------------------------------------------------

    def fill(
        self, rows: Mapping[bytes, bytes], hashes: dict[bytes, int], digest: int, limit: int | None = None
    ) -> None:
        """Put restored rows into the fold's tables.

        Args:
            rows: Encoded, by row key. The local store holds them too, if it is good, and those that are ``COLD``.
            hashes: Of these rows.
            digest: Of all hashes.
            limit: Rows of each evictable table that go into memory; ``None`` for all.

        Raises:
            RowsUnreadable: if they do not fit this version of the fold.
            ColdRowsLost: if the local store does not give what is not in memory.
        """
        self.hashes, self.digest = hashes, digest
        tables = self.fold.tables
        if limit is not None and self.store.failure is None:
            rows = self._leave_cold(rows, limit)
        ways = {row_key(name, ""): (table.rows, table.decode) for name, table in tables.items()}
        prefix = b"/"
        for key, payload in rows.items():
            try:
                if not key.startswith(prefix):  # rare: a million rows are of one table
                    prefix = key[: key.index(b"/") + 1]
                    (its_rows, decode), skip = ways[prefix], len(prefix)
                its_rows[key[skip:].decode()] = decode(payload)
            except (KeyError, ValueError) as error:  # msgspec's errors are ValueErrors
                raise RowsUnreadable(
                    self.table,
                    self.partition,
                    f"row {key.decode()!r} cannot be decoded ({error!r}). {_MIGRATE}",
                ) from error
        try:
            self.fold.restored()
        except msgspec.MsgspecError as error:
            raise RowsUnreadable(
                self.table, self.partition, f"a row cannot be decoded ({error!r}). {_MIGRATE}"
            ) from error
        for table in tables.values():
            table.dirty.clear()  # what ``restored`` derived was not changed

    def _leave_cold(self, rows: Mapping[bytes, bytes], limit: int) -> Mapping[bytes, bytes]:
        """The rows that go into memory; of each evictable table the first."""
        cold = self._cold()
        room = dict.fromkeys(cold, limit)
        warm = {}
        for key, payload in rows.items():
            prefix = key[: key.index(b"/") + 1]
            if prefix not in room:
                warm[key] = payload
            elif payload is not COLD and room[prefix] > 0:
                room[prefix] -= 1
                warm[key] = payload
            else:
                cold[prefix].leave_out()
        return warm

    def _cold(self) -> dict[bytes, StoredRows]:
        """Of each evictable table the rows that are not in memory, by the prefix of their keys."""
        cold = {}
        for name, table in self.fold.tables.items():
            if table.evictable:
                if not isinstance(table.cold, StoredRows):
                    table.cold = StoredRows(table, self.hashes, self.store)
                cold[row_key(name, "")] = table.cold
        return cold

    @property
    def cold_rows(self) -> int:
        """Rows that only the local store holds, and the changelog."""
        return sum(len(table.cold) for table in self.fold.tables.values() if table.cold is not None)

    def make_room(self, limit: int, used: Iterable[bytes]) -> None:
        """Put out of memory what an evictable table has above ``limit`` rows; right after the store was written.

        Args:
            limit: Rows of each such table that stay. What has changed since the checkpoint stays as well.
            used: Row keys that the checkpoint has saved.
        """
        if self.failure is None and self.store.failure is None:
            for cold in self._cold().values():
                cold.make_room(limit, used)

    def begin_checkpoint(self) -> PendingCheckpoint:
        """Take everything that changed since the last one. No await may happen inside."""
        changes: dict[bytes, bytes | None] = {}
        for table in self.fold.tables.values():
            dirty, table.dirty = table.dirty, {}
            for name in dirty:
                row = table.rows.get(name)
                changes[row_key(table.name, name)] = None if row is None else table.encode(row)
        repairs, self.repairs = self.repairs, {}
        for key in repairs:
            if key not in changes:
                changes[key] = self._encoded(key)
        self._count(changes, repairs)

        tombstones = [key for key in self.tombstones_due if key not in self.hashes and key not in changes]
        self.tombstones_due = {key: None for key, payload in changes.items() if payload is None}
        self._mark_turn += 1
        return PendingCheckpoint(
            task=self,
            changes=changes,
            tombstones=tombstones,
            mark=Mark(self.epoch, self.position, len(self.hashes), self.digest),
            mark_turn=self._mark_turn,
            outputs=list(self.sends),
        )

    def _encoded(self, key: bytes) -> bytes | None:
        name, key_in_table = split_row_key(key)
        table = self.fold.tables.get(name)
        row = None if table is None else table.get(key_in_table)
        return None if table is None or row is None else table.encode(row)

    def _count(self, changes: dict[bytes, bytes | None], repairs: Mapping[bytes, None]) -> None:
        """Keep count and digest of all rows; leave out rows that were born and died unsaved."""
        hashes = self.hashes
        unborn = []
        for key, payload in changes.items():
            old = hashes.pop(key, None)
            new = 0
            if payload is not None:
                new = hashes[key] = row_hash(key, payload)
            elif old is None and key not in repairs:
                unborn.append(key)
            self.digest = add_digests(self.digest, new - (old or 0))
        for key in unborn:
            del changes[key]
