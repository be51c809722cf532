"""Who belongs where: the partition of a subject, and records that arrive here from other partitions.

Clients differ in how they partition, or send no key at all. A record that stands in the wrong partition is
appended again to the right one, with its origin in a header, which also tells repeats there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from models.dead_letters import ORIGIN_HEADER
from models.fold import Headers, Table
from models.ingress.intake import last_header
from models.ingress.rows import OriginRow
from models.partition import partition_of

MAX_JUMP = 1 << 32
"""An origin this far beyond the last one is a forgery: believed, it would shut out all that follow."""

_ORIGIN = re.compile(rb"([^/]{1,249})/(\d{1,9})/(\d{1,18})")
_SUBJECTS_REMEMBERED = 4_096


class Placement:
    def __init__(self, partition: int, partitions: int, topic: str, origins: Table[OriginRow]) -> None:
        self._partition = partition
        self._partitions = partitions
        self._topic = topic.encode()
        self._origins = origins
        # Subjects without a row here (tasks, agents that live elsewhere) come in runs: submit, cancel, beats.
        self.partition_of = lru_cache(_SUBJECTS_REMEMBERED)(self._partition_of)

    def is_repeat(self, headers: Headers) -> bool:
        """Whether this re-appended record arrived before; remembers it if not.

        A partition re-appends in the order of its offsets and repeats only what it sent since its last
        checkpoint, so one number for each origin partition tells every repeat.
        """
        origin = self._origin(headers)
        if origin is None:
            return False
        partition, offset = origin
        row = self._origins.get(partition)
        if row is None:
            row = OriginRow(-1)
        if offset <= row.offset:
            return True
        if offset - max(row.offset, 0) <= MAX_JUMP:
            row.offset = offset
            self._origins.put(partition, row)
        return False

    def _origin(self, headers: Headers) -> tuple[str, int] | None:
        match = _ORIGIN.fullmatch(last_header(headers, ORIGIN_HEADER) or b"")
        if match is None or match[1] != self._topic:
            return None
        partition = int(match[2])
        if partition >= self._partitions or partition == self._partition:
            return None  # No partition re-appends to itself: somebody made this up.
        return str(partition), int(match[3])

    def _partition_of(self, subject: str) -> int:
        return partition_of(subject.encode(), self._partitions)
