"""Sealing the state: a digest of all rows, once a second of fleet time, kept up to date as rows change.

The digest is the sum, modulo 2^128, of a hash of each row with its table and key (XXH3; the sum is AdHash: Bellare
and Micciancio, *A New Paradigm for Collision-Free Hashing*, 1997). So it does not depend on the order of rows, and
costs as much as rows have changed. Of the clock's row only what decides counts: how many records were read, and
how often the same ones, makes no difference.

It tells damage, and folds that went different ways, from what should be. Against somebody who makes up rows to
have a given sum it proves nothing, and neither would sums of stronger hashes: what proves a state is the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TypeVar

import msgspec
from xxhash import xxh3_128_intdigest

from models.fleet.timers import Calendar, MomentKind
from models.fold import Table

R = TypeVar("R", bound=msgspec.Struct)

FOLD_VERSION = 1
"""Of what the fleet fold makes of records, and of its rows. It rises whenever equal logs would give other outputs
or digests: outputs of another version cannot be derived again."""
INTERVAL = 1_000
"""Milliseconds of fleet time between seals, at the least."""
_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)


def row_hash(table: str, key: str, payload: bytes) -> int:
    """Of one row: XXH3 with 128 bits over table, key and row, each but the last ended by a zero byte."""
    return xxh3_128_intdigest(f"{table}\0{key}\0".encode() + payload)


def digest_bytes(total: int) -> bytes:
    """A sum of such hashes, modulo 2^128; as 32 hexadecimal digits it stands on the wire."""
    return (total % _MODULUS).to_bytes(_BYTES)


class PackedTable(msgspec.Struct, array_like=True):
    """The rows of a table, encoded, by key."""

    rows: dict[str, bytes]
    dues: list[int]
    """Of a :class:`WriteOnceTable`, whose rows are in the order of these: when each goes."""
    total: bytes
    """The sum of the rows' hashes. A write-once table takes it on trust when it is loaded."""

    def copy(self) -> PackedTable:
        """For a further fold: the table that packs, and one that is loaded, go on to use what they are given."""
        return PackedTable(dict(self.rows), list(self.dues), self.total)


class SummedTable(Table[R]):
    """A table that knows the sum of its rows' hashes, as of when it was last asked."""

    __slots__ = ("_hashes", "_total", "unsummed")

    def __init__(self, name: str, row_type: type[R]) -> None:
        super().__init__(name, row_type)
        self.unsummed: dict[str, None] = {}
        """Keys of rows that may have changed since."""
        self._hashes: dict[str, int] = {}
        self._total = 0

    def put(self, key: str, row: R) -> R:
        self.unsummed[key] = None
        return super().put(key, row)

    def touch(self, key: str) -> None:
        self.dirty[key] = None
        self.unsummed[key] = None

    def delete(self, key: str) -> None:
        self.unsummed[key] = None
        super().delete(key)

    def unsum(self) -> None:
        """Rows were put in by somebody else."""
        self._hashes, self._total = {}, 0
        self.unsummed = dict.fromkeys(self.rows)

    def pack(self) -> PackedTable:
        """All rows, encoded."""
        rows = {key: self.encode(row) for key, row in self.rows.items()}
        return PackedTable(rows, [], digest_bytes(self.total()))

    def load(self, packed: PackedTable) -> None:
        """Put in rows, and sum them as they are: faster than to encode them again."""
        name, decode = self.name, self.decode
        self.rows = {key: decode(payload) for key, payload in packed.rows.items()}
        self._hashes = {key: row_hash(name, key, payload) for key, payload in packed.rows.items()}
        self._total = sum(self._hashes.values()) % _MODULUS
        self.unsummed = {}

    def total(self) -> int:
        """The sum over all rows, as they are."""
        hashes, rows, total = self._hashes, self.rows, self._total
        for key in self.unsummed:
            total -= hashes.pop(key, 0)
            row = rows.get(key)
            if row is not None:
                hashes[key] = found = row_hash(self.name, key, self.encode(row))
                total += found
        self.unsummed.clear()
        self._total = total % _MODULUS
        return self._total


class WriteOnceTable(SummedTable[R]):
    """Likewise, of many rows none of which is ever changed in place and each of which goes at a time that it
    names: their hashes are not kept, but made again when a row goes; and those that were loaded stay encoded
    until somebody asks for them.

    Args:
        due: The field that holds the time.
        kind: What happens then.
    """

    __slots__ = ("_due", "_encoded", "calendar", "kind")

    def __init__(self, name: str, row_type: type[R], due: str, kind: MomentKind) -> None:
        super().__init__(name, row_type)
        self.kind = kind
        self._due: Callable[[R], int] = attrgetter(due)
        self._encoded: dict[str, bytes] = {}
        """Rows that were loaded, and nobody has asked for; no key is in ``rows``, too."""
        self.calendar = Calendar(kind, [], [])
        """When they go."""

    def get(self, key: str) -> R | None:
        row = self.rows.get(key)
        if row is None:
            payload = self._encoded.get(key)
            if payload is not None:
                return self.decode(payload)
        return row

    def put(self, key: str, row: R) -> R:
        self._leave(key)
        return super().put(key, row)

    def touch(self, key: str) -> None:
        raise TypeError(f"rows of {self.name} are never changed in place")

    def delete(self, key: str) -> None:
        if self._leave(key):
            self.dirty[key] = None

    def items(self) -> Iterator[tuple[str, R]]:
        for key, payload in self._encoded.items():
            yield key, self.decode(payload)
        yield from self.rows.items()

    def __contains__(self, key: str) -> bool:
        return key in self.rows or key in self._encoded

    def __len__(self) -> int:
        return len(self.rows) + len(self._encoded)

    def unsum(self) -> None:
        super().unsum()
        self._encoded, self.calendar = {}, Calendar(self.kind, [], [])

    def pack(self) -> PackedTable:
        """All rows, encoded; they stay so, as if they had been loaded. A checkpoint would miss them: what is
        packed is no worker's."""
        total = digest_bytes(self.total())
        fresh = sorted(((self._due(row), key, self.encode(row)) for key, row in self.rows.items()))
        old = self.calendar.rest(self._encoded)
        if old.dues and fresh and fresh[0][0] < old.dues[-1]:
            known = zip(old.dues, self._encoded.items(), strict=True)
            fresh = sorted([*((due, key, payload) for due, (key, payload) in known), *fresh])
            old, self._encoded = Calendar(self.kind, [], []), {}
        self._encoded.update((key, payload) for _, key, payload in fresh)
        self.calendar = Calendar(
            self.kind,
            [*old.dues, *(due for due, _, _ in fresh)],
            [*old.keys, *(key for _, key, _ in fresh)],
        )
        self.rows = {}
        return PackedTable(self._encoded, self.calendar.dues, total)

    def load(self, packed: PackedTable) -> None:
        self.rows, self._hashes, self.unsummed = {}, {}, {}
        self._encoded = packed.rows
        self.calendar = Calendar(self.kind, packed.dues, list(packed.rows))
        self._total = int.from_bytes(packed.total)

    def total(self) -> int:
        total = self._total
        for key in self.unsummed:
            total += row_hash(self.name, key, self.encode(self.rows[key]))
        self.unsummed.clear()
        self._total = total % _MODULUS
        return self._total

    def _leave(self, key: str) -> bool:
        """The row is there no more; whether it was."""
        row = self.rows.pop(key, None)
        payload = self._encoded.pop(key, None) if row is None else None
        if row is not None and key in self.unsummed:
            del self.unsummed[key]
        elif row is not None:
            self._total -= row_hash(self.name, key, self.encode(row))
        elif payload is not None:
            self._total -= row_hash(self.name, key, payload)
        return row is not None or payload is not None
