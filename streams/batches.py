"""The unit in which records travel from the consumer to a fold: a contiguous piece of one partition's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.fold import Record


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """All records of a partition in ``[start, next_offset)``.

    Offsets without a record in between (control records, compaction) belong to the batch as well: whoever has
    folded it stands at ``next_offset``.
    """

    topic: str
    partition: int
    start: int
    next_offset: int
    records: Sequence[Record]
    high_watermark: int
    """End of the partition's log when the batch was fetched."""

    def __len__(self) -> int:
        return len(self.records)

    def since(self, position: int) -> Sequence[Record]:
        """The records at or after ``position``."""
        if position <= self.start:
            return self.records
        return [record for record in self.records if record.offset >= position]
