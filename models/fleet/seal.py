"""Sealing the state: a digest of all rows, once a second of fleet time, kept up to date as rows change.

The digest is the sum, modulo 2^128, of a hash of each row with its table and key (XXH3; the sum is AdHash: Bellare
and Micciancio, *A New Paradigm for Collision-Free Hashing*, 1997). So it does not depend on the order of rows, and
costs as much as rows have changed. Of the clock's row only what decides counts: how many records were read, and
how often the same ones, makes no difference.

It tells damage, and folds that went different ways, from what should be. Against somebody who makes up rows to
have a given sum it proves nothing, and neither would sums of stronger hashes: what proves a state is the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from xxhash import xxh3_128_intdigest

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

    def load(self, encoded: Mapping[str, bytes]) -> None:
        """Put in rows, and sum them as they are: faster than to encode them again."""
        name, decode = self.name, self.decode
        self.rows = {key: decode(payload) for key, payload in encoded.items()}
        self._hashes = {key: row_hash(name, key, payload) for key, payload in encoded.items()}
        self._total = sum(self._hashes.values()) % _MODULUS

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
    """Likewise, of many rows none of which is ever changed in place: their hashes are not kept, but made again
    when a row goes."""

    __slots__ = ()

    def put(self, key: str, row: R) -> R:
        self._leave(key)
        return super().put(key, row)

    def load(self, encoded: Mapping[str, bytes]) -> None:
        super().load(encoded)
        self._hashes = {}

    def touch(self, key: str) -> None:
        raise TypeError(f"rows of {self.name} are never changed in place")

    def delete(self, key: str) -> None:
        self._leave(key)
        if self.rows.pop(key, None) is not None:
            self.dirty[key] = None

    def total(self) -> int:
        total = self._total
        for key in self.unsummed:
            total += row_hash(self.name, key, self.encode(self.rows[key]))
        self.unsummed.clear()
        self._total = total % _MODULUS
        return self._total

    def _leave(self, key: str) -> None:
        row = self.rows.get(key)
        if row is None:
            return
        if key in self.unsummed:
            del self.unsummed[key]
        else:
            self._total -= row_hash(self.name, key, self.encode(row))
