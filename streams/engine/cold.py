"""Rows that memory has no room for: only the local store holds them, and each read of one is proved.

A bounded cache over the store. What makes it right:

- A row leaves memory only when it has not changed since a checkpoint that the store holds. So what lies in the
  store under its key *is* the row.
- The engine knows the hash of every row; what is read must have it, or the partition stops. The next start then
  proves the store as a whole, and builds it anew from the changelog.
- A store that fails while rows are only in it ends the partition as well: nothing is lost, since the changelog has
  them all. While a store is not good, nothing leaves memory.

Which rows leave: those that have not changed for the longest (LRU by checkpoints).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from models.fold import Table
from streams.engine.changelog import row_hash, row_key
from streams.engine.errors import ColdRowsLost
from streams.engine.store import LocalStore, StoreDamaged


class StoredRows:
    """The cold rows of one table of one partition; implements :class:`models.fold.ColdRows`.

    Args:
        table: Whose rows these are.
        hashes: Of all rows of the partition as last saved, by row key; kept up to date by the engine.
        store: Holds them.
    """

    def __init__(self, table: Table[Any], hashes: Mapping[bytes, int], store: LocalStore) -> None:
        self._table = table
        self._prefix = row_key(table.name, "")
        self._hashes = hashes
        self._store = store
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: str) -> bool:
        return self._count > 0 and self._is_cold(key, self._prefix + key.encode())

    def take(self, key: str) -> bytes | None:
        """A row that is in memory from now on.

        Raises:
            ColdRowsLost: if the store does not give what was put into it.
        """
        name = self._prefix + key.encode()
        if not (self._count and self._is_cold(key, name)):
            return None
        try:
            payload = self._store.get(name)
        except StoreDamaged as error:
            raise self._lost(str(error)) from error
        self._prove(name, payload)
        self._count -= 1
        return payload

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All of them, one after the other.

        Raises:
            ColdRowsLost: as :meth:`take`; also if some are missing.
        """
        if not self._count:
            return
        found, skip = 0, len(self._prefix)
        try:
            for name, payload in self._store.scan(self._prefix):
                key = name[skip:].decode()
                if self._is_cold(key, name):
                    self._prove(name, payload)
                    found += 1
                    yield key, payload
        except StoreDamaged as error:
            raise self._lost(str(error)) from error
        if found != self._count:
            raise self._lost(f"it gives {found} of {self._count} rows")

    def leave_out(self) -> None:
        """Count a restored row that is in the store, and does not go into memory."""
        self._count += 1

    def make_room(self, limit: int, used: Iterable[bytes]) -> None:
        """Put out of memory what is more than ``limit`` rows, as far as it has not changed since the checkpoint.

        Args:
            limit: Rows to keep.
            used: Row keys that the checkpoint has saved: whatever changed lately.
        """
        rows, dirty, skip = self._table.rows, self._table.dirty, len(self._prefix)
        for name in used:
            if name.startswith(self._prefix):
                key = name[skip:].decode()
                row = rows.pop(key, None)
                if row is not None:
                    rows[key] = row  # a dict keeps the order in which keys came in
        out = list(islice((key for key in rows if key not in dirty), max(0, len(rows) - limit)))
        for key in out:
            self._table.evict(key)
        self._count += len(out)

    def _is_cold(self, key: str, name: bytes) -> bool:
        # One that is dirty and not in memory was deleted, and that is not saved yet.
        return name in self._hashes and key not in self._table.rows and key not in self._table.dirty

    def _prove(self, name: bytes, payload: bytes | None) -> None:
        if payload is None or row_hash(name, payload) != self._hashes[name]:
            found = "nothing" if payload is None else "another row"
            raise self._lost(f"it gives {found} for {name.decode()!r}")

    def _lost(self, reason: str) -> ColdRowsLost:
        return ColdRowsLost(self._store.table, self._store.partition, self._count, reason)
