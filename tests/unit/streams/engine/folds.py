"""A fold and a log small enough to reason about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from models.fold import LogRecord, Output, Record, Table


class Number(msgspec.Struct, array_like=True):
    value: int


class NumbersFold:
    """Each record sets a row: key is the row's, value its number; no value deletes it."""

    def __init__(self) -> None:
        self.numbers = Table("numbers", Number)

    @property
    def tables(self) -> Mapping[str, Table[Any]]:
        return {"numbers": self.numbers}

    def restored(self) -> None:
        pass

    def validate(self) -> None:
        pass

    def fold(self, records: Sequence[Record]) -> list[Output]:
        for record in records:
            key = (record.key or b"").decode()
            if record.value is None:
                self.numbers.delete(key)
            else:
                self.numbers.put(key, Number(int(record.value)))
        return [Output("out", record.key, record.value) for record in records]

    @property
    def content(self) -> dict[str, int]:
        return {key: row.value for key, row in self.numbers.rows.items()}


def log_of(pairs: Iterable[tuple[bytes | None, bytes | None]], start: int = 0) -> list[LogRecord]:
    return [LogRecord(start + i, 0, key, value) for i, (key, value) in enumerate(pairs)]
