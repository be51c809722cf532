"""Finding the record of the fleet log at which something became true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.fleet import FleetFold
from models.fold import Output, Record
from streams.audit.past import ENOUGH, Log
from streams.audit.predicate import Predicate
from streams.audit.snapshots import SnapshotRefused, Snapshots


@dataclass(frozen=True, slots=True)
class Found:
    """Where a condition first held."""

    record: Record | None
    """The record that made it true; ``None`` if it was true before the first one."""
    outputs: Sequence[Output] = ()
    """What was put out because of that record."""


class Seeker:
    """Folds records until a condition holds.

    Args:
        fold: Restored or empty.
        first: Offset of the first record after which the condition is asked; it is asked before that record, too.
    """

    def __init__(self, fold: FleetFold, fleet: str, predicate: Predicate, first: int) -> None:
        self._fold = fold
        self._fleet = fleet
        self._predicate = predicate
        self._first = first
        self._asked = False
        self.found: Found | None = None

    def hear(self, records: Sequence[Record]) -> object:
        """Fold these; :data:`~streams.audit.past.ENOUGH` when it was found."""
        for record in records:
            if record.offset < self._first:
                self._fold.fold([record])
                continue
            if self._asks_for_the_first_time() and self._holds():
                self.found = Found(None)
                return ENOUGH
            outputs = self._fold.fold([record])
            if self._holds():
                self.found = Found(record, outputs)
                return ENOUGH
        return None

    def end(self) -> None:
        """Nothing more is heard."""
        if self._asks_for_the_first_time() and self._holds():
            self.found = Found(None)

    def _asks_for_the_first_time(self) -> bool:
        asked, self._asked = self._asked, True
        return not asked

    def _holds(self) -> bool:
        return self._predicate(self._fold, self._fleet)


def last_false(log: Log, snapshots: Snapshots, predicate: Predicate, first: int, end: int) -> int:
    """The offset of a state between the two in which the condition does not hold yet, found by halving.

    For conditions that stay true once they are: only states that were kept are looked at, a handful of them.

    Returns:
        That of a snapshot; ``first`` if there is none such.
    """
    shelf = snapshots.shelf(log.cluster, log.place)
    kept = [snapshot for snapshot in shelf.all() if first < snapshot.offset <= end]
    low, high = 0, len(kept)  # whatever is below low is false, whatever is at high or above true
    while low < high:
        middle = (low + high) // 2
        fold = log.new_fold()
        try:
            kept[middle].restore(fold)
        except SnapshotRefused as refused:
            shelf.refuse(kept[middle], str(refused))
            del kept[middle]
            high -= 1
            continue
        if predicate(fold, log.fleet):
            high = middle
        else:
            low = middle + 1
    return kept[low - 1].offset if low else first
