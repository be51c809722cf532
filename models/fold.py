"""What a fold is: its input records, its tables of state, its outputs.

A fold is a pure, total function ``(state, record) -> (state, outputs)``: no clock, no chance, no I/O, no
iteration over sets, and it never raises on any input bytes. For speed it changes its own state in place and
takes whole batches; the engine (``streams.engine``) owns everything else: reading, checkpoints, sending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """One record of the partition that a fold reads; aiokafka's own record objects satisfy it uncopied."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Broker append time, epoch milliseconds."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A plain :class:`Record`, for tests, replays and whoever has no Kafka client at hand."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to append, as data. Equal inputs give byte-equal outputs.

    A struct, and no frozen dataclass, since it is made five times as fast, and folds make many.
    """

    topic: str
    """Logical name (``fleet``, ``directives``, ``dead-letters`` …); the engine adds the configured prefix."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    """Where it goes; ``None`` means ``murmur2(key) mod partitions``, as Java and aiokafka clients do."""


class ColdRows(Protocol):
    """Rows of a table that memory has no room for; the engine keeps them on disk, encoded."""

    def take(self, key: str) -> bytes | None:
        """A row that is in memory from now on, or ``None`` if none of that key is cold."""

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All of them, in no order that anything may depend on."""

    def __contains__(self, key: str) -> bool: ...
    def __len__(self) -> int: ...


R = TypeVar("R", bound=msgspec.Struct)


class Table(Generic[R]):
    """A dictionary of rows that remembers which keys changed since the last checkpoint.

    Rows are ``msgspec.Struct``s that the fold changes in place; after any change it calls :meth:`touch`
    (or :meth:`put`), or the change will not survive a restart. ``dirty`` is a dict for its insertion order:
    checkpoints must not depend on the order of a set.

    An evictable table may have rows that are not in memory (:class:`ColdRows`): whoever reads ``rows`` itself
    sees only those that are. The rest of the interface makes no difference, and brings in what is asked for.
    """

    __slots__ = ("_decode", "cold", "dirty", "evictable", "name", "row_type", "rows")

    def __init__(self, name: str, row_type: type[R], *, evictable: bool = False) -> None:
        self.name = name
        self.row_type = row_type
        self.evictable = evictable
        self.rows: dict[str, R] = {}
        self.dirty: dict[str, None] = {}
        self.cold: ColdRows | None = None
        """``None`` while all rows are in memory."""
        self._decode: Callable[[bytes], R] = msgspec.msgpack.Decoder(row_type).decode

    def get(self, key: str) -> R | None:
        row = self.rows.get(key)
        if row is None and self.cold is not None:
            payload = self.cold.take(key)
            if payload is not None:
                row = self.rows[key] = self._decode(payload)
        return row

    def __getitem__(self, key: str) -> R:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def put(self, key: str, row: R) -> R:
        if self.cold is not None:
            self.cold.take(key)
        self.rows[key] = row
        self.dirty[key] = None
        return row

    def touch(self, key: str) -> None:
        self.dirty[key] = None

    def delete(self, key: str) -> None:
        if self.get(key) is not None:
            del self.rows[key]
            self.dirty[key] = None

    def evict(self, key: str) -> None:
        """The row leaves memory; it is among the cold ones from now on."""
        del self.rows[key]

    def items(self) -> Iterable[tuple[str, R]]:
        """Every row, in no order that anything may depend on. Changing the table meanwhile is not allowed."""
        return self.rows.items() if self.cold is None else self._all_items(self.cold)

    def _all_items(self, cold: ColdRows) -> Iterator[tuple[str, R]]:
        yield from self.rows.items()
        for key, payload in cold.items():
            yield key, self._decode(payload)

    def __contains__(self, key: str) -> bool:
        return key in self.rows or (self.cold is not None and key in self.cold)

    def __len__(self) -> int:
        return len(self.rows) + (0 if self.cold is None else len(self.cold))

    def encode(self, row: R) -> bytes:
        return _encode(row)

    def decode(self, data: bytes) -> R:
        return self._decode(data)


_encode = msgspec.msgpack.Encoder().encode


class Fold(Protocol):
    """The state of one partition and the function that advances it.

    A new instance is the empty state. The engine restores it by filling its tables, then calls
    :meth:`restored` once, so that the fold rebuilds what it derives from its rows (heaps, indexes).
    Everything else that must survive (log time, source positions, counters) is a row too.
    """

    @property
    def tables(self) -> Mapping[str, Table[msgspec.Struct]]: ...

    def restored(self) -> None: ...

    def fold(self, records: Sequence[Record]) -> list[Output]:
        """Advance over consecutive records of the partition and return what they cause, in order."""

    def validate(self) -> None:
        """Assert the invariants that span tables; for tests and ``doctor``, not for the hot path."""
