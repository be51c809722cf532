"""The changelog of a fold table: how rows, marks and fences are written, and what a reader may believe.

Pure: bytes in, rows out. Who reads and writes the topic is in ``restore`` and ``checkpoint``.

One partition of the log reads ``FENCE (row* MARK)* FENCE (row* MARK)* …``:

- A **row** has the key ``<table>/<row key>`` and the value ``epoch, position, payload``. No payload: deleted.
- A **mark** closes a checkpoint: all rows before it, of its epoch, are the state at its position. It carries the
  number of rows in the whole state and a digest of them, so that every restore proves itself.
- A **fence** opens an epoch; *its own offset is the epoch*, so epochs rise and no two owners share one. It shuts
  out the former owner, even one that was paused and does not know yet.
- A **tombstone** (null value) follows a deletion one checkpoint later and only lets compaction forget the key.
  It has no epoch to judge it by, so a reader never believes it.

The topic is compacted: of each key only the last record stays for good. Three rules keep that harmless:

1. Fences have unique keys and stay. Marks have one of two keys per epoch, in turn: the last valid mark of every
   epoch stays, even when a fenced owner's last mark lands behind it.
2. Rows that do not count (a torn checkpoint, a fenced owner) are rewritten by the next owner from what does
   count (``Replay.repairs``), so the last record of every key is a valid one again.
3. ``min.compaction.lag.ms`` gives rule 2 the time that it needs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xxhash import xxh3_64_intdigest

from models.fold import Record

_HEADER = struct.Struct(">QQ")
"""Epoch and position; big-endian, so that the bytes of epochs compare like the numbers."""
_MARK = struct.Struct(">QQQQ")
"""The same two, then the number of rows and their digest."""
HEADER_BYTES = _HEADER.size

_CONTROL = b"\0"
_MARK_PREFIX = b"\0mark2/"
"""With the version of the digest: marks of another one are not seen, and the source is folded anew."""
_FENCE_PREFIX = b"\0fence/"

_DIGEST_MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class Mark:
    """What the end of a checkpoint says about the whole state."""

    epoch: int
    position: int
    rows: int
    digest: int


def row_key(table: str, key: str) -> bytes:
    return f"{table}/{key}".encode()


def split_row_key(key: bytes) -> tuple[str, str]:
    """``(table, row key)``; table names contain no slash, row keys may."""
    table, _, rest = key.decode().partition("/")
    return table, rest


def row_header(epoch: int, position: int) -> bytes:
    """Prefix of every row of one checkpoint; alone it is the value of a deleted row."""
    return _HEADER.pack(epoch, position)


def mark_key(epoch: int, turn: int) -> bytes:
    return b"%s%016x/%d" % (_MARK_PREFIX, epoch, turn % 2)


def mark_value(mark: Mark) -> bytes:
    return _MARK.pack(mark.epoch, mark.position, mark.rows, mark.digest)


def fence_key() -> bytes:
    return _FENCE_PREFIX + os.urandom(8).hex().encode()


def is_fence(key: bytes | None) -> bool:
    return key is not None and key.startswith(_FENCE_PREFIX)


def row_hash(key: bytes, payload: bytes) -> int:
    """64 bits of one row (XXH3); the key's length as seed keeps ``(ab, c)`` and ``(a, bc)`` apart.

    It has to notice damage, not malice: who may write the changelog could write the marks as well.
    """
    return xxh3_64_intdigest(key + payload, len(key))


def add_digests(digest: int, change: int) -> int:
    """Sum modulo 2^64: any order gives the same digest, and a row can be taken out again."""
    return (digest + change) % _DIGEST_MODULUS


def hash_rows(rows: Mapping[bytes, bytes]) -> tuple[dict[bytes, int], int]:
    """The hash of each row, and the digest of all."""
    hashes = {key: row_hash(key, payload) for key, payload in rows.items()}
    return hashes, digest_of(hashes.values())


def digest_of(hashes: Iterable[int]) -> int:
    return sum(hashes) % _DIGEST_MODULUS


@dataclass(slots=True)
class Replay:
    """The state that a prefix of the changelog stands for.

    Start it empty, or with what a local store holds, and feed it the records in order. Rows count only when a
    mark of their epoch follows before the next fence.
    """

    rows: dict[bytes, bytes] = field(default_factory=dict)
    """Payload by row key: the state at ``mark.position``."""
    mark: Mark | None = None
    """The last valid mark; ``None`` while there was no complete checkpoint."""
    after_mark: int = 0
    """Changelog offset after that mark."""
    changed: dict[bytes, None] | None = None
    """Keys that differ from what the replay started with; ``None`` if it started with nothing, so all of them."""
    repairs: dict[bytes, None] = field(default_factory=dict)
    """Keys whose last record does not count, and must be written again."""
    deleted: dict[bytes, None] = field(default_factory=dict)
    """Keys that are deleted and still want their tombstone."""
    fences: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and value of those that were met: who opened an epoch says so there."""
    _epoch: bytes = b"\0" * 8
    _pending: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def after(cls, mark: Mark, offset: int, rows: dict[bytes, bytes]) -> Replay:
        """Continue behind a mark, whose state is ``rows``; ``offset`` is the next one of the changelog."""
        return cls(rows=rows, mark=mark, after_mark=offset, changed={}, _epoch=mark.epoch.to_bytes(8, "big"))

    def apply(self, records: Iterable[Record], own_fence: int) -> bool:
        """Advance over the next records; true as soon as the fence at offset ``own_fence`` is reached."""
        pending, repairs, epoch = self._pending, self.repairs, self._epoch
        for record in records:
            key, value = record.key, record.value
            if key is None:
                continue  # nobody of ours writes such a record
            if not key.startswith(_CONTROL):
                if value is None:
                    self._meet_tombstone(key)
                elif value >= epoch:  # it begins with its own
                    pending[key] = value
                    if repairs:
                        repairs.pop(
                            key, None
                        )  # now, not at the mark: what comes in between wants repair again
                else:
                    repairs[key] = None  # a fenced owner's row
            elif key.startswith(_FENCE_PREFIX):
                repairs.update(dict.fromkeys(pending))  # a torn checkpoint
                pending.clear()
                epoch = self._epoch = record.offset.to_bytes(8, "big")
                self.fences.append((record.offset, value))
                if record.offset >= own_fence:
                    return True
            elif key.startswith(_MARK_PREFIX) and value is not None and value >= epoch:
                # a fenced owner's mark would close nothing
                self._close_checkpoint(Mark(*_MARK.unpack(value)), record.offset)
        return False

    def _meet_tombstone(self, key: bytes) -> None:
        """Never a deletion in itself; behind a living row it can only be a fenced owner's, and wants repair."""
        self.deleted.pop(key, None)
        pending = self._pending.get(key)
        alive = len(pending) > HEADER_BYTES if pending is not None else key in self.rows
        if alive:
            self.repairs[key] = None

    def _close_checkpoint(self, mark: Mark, offset: int) -> None:
        pending = self._pending
        living = {key: value[HEADER_BYTES:] for key, value in pending.items() if len(value) > HEADER_BYTES}
        if self.rows:
            self.rows.update(living)
        else:
            self.rows = living
        if self.changed is not None:
            self.changed.update(dict.fromkeys(pending))
        if self.deleted:
            for key in living:
                self.deleted.pop(key, None)
        if len(living) < len(pending):
            for key in pending:
                if key not in living:
                    self.rows.pop(key, None)
                    self.deleted[key] = None
        pending.clear()
        self.mark = mark
        self.after_mark = offset + 1

    def proves_itself(self, digest: int) -> bool:
        """Whether the rows, with this digest, are those that the last mark closed."""
        if self.mark is None:
            return not self.rows
        return len(self.rows) == self.mark.rows and digest == self.mark.digest


def intruders(records: Sequence[Record], epoch: int) -> tuple[bool, dict[bytes, None]]:
    """Judge foreign records that landed between an owner's own.

    Returns:
        Whether a fence newer than ``epoch`` is among them, which ends the ownership; and the row keys they
        touched, which the owner must write again if it still is the owner.
    """
    fenced = any(is_fence(record.key) and record.offset > epoch for record in records)
    keys = {
        record.key: None
        for record in records
        if record.key is not None and not record.key.startswith(_CONTROL)
    }
    return fenced, keys
