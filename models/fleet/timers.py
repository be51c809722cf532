"""What becomes due and when. Derived from rows; a due entry whose row has changed since means nothing."""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Literal, TypeAlias

MomentKind: TypeAlias = Literal[
    "alert",
    "brake",
    "breaker",
    "coalition",
    "deadline",
    "directive",
    "drain",
    "flood",
    "impossible",
    "pace",
    "promotion",
    "risk",
    "stuck",
    "task",
    "window",
]
"""What happens then: an alert may be raised again, losses that were held back are looked at, an agent whose
breaker is open may be tried again, a coalition is given up, a pending task is past its deadline, an ended
directive or task or how long tasks of a class took is forgotten, drained agents give back what they have, it is
told how many alerts were withheld, an impossible class gets its alert, it is told that a task will miss its
deadline or is stuck, a task has waited so long that it counts as of a higher priority, a report goes out."""

_ROOM = 1_024
"""Entries that are never worth clearing up."""


class Calendar:
    """Moments of one kind that were known from the start, in their order: none costs anything before its time."""

    __slots__ = ("_next", "dues", "keys", "kind")

    def __init__(self, kind: MomentKind, dues: list[int], keys: list[str]) -> None:
        self.kind = kind
        self.dues = dues
        self.keys = keys
        self._next = 0

    @property
    def head(self) -> tuple[int, MomentKind, str] | None:
        """The next one."""
        if self._next == len(self.dues):
            return None
        return self.dues[self._next], self.kind, self.keys[self._next]

    def pass_on(self) -> None:
        self._next += 1

    def rest(self, keys: Collection[str]) -> Calendar:
        """Those still to come, of these keys: of all that came in, some may be gone."""
        dues, names = self.dues[self._next :], self.keys[self._next :]
        if len(names) != len(keys):
            there = [(due, key) for due, key in zip(dues, names, strict=True) if key in keys]
            dues, names = [due for due, _ in there], [key for _, key in there]
        return Calendar(self.kind, dues, names)


class Timers:
    """Two heaps with total orders, so that equal times never leave the order to chance.

    Directives live in time *without outages*: fleet time minus all stretches in which nobody could append. Such
    a stretch moves both alike: the times of every directive that was live through it are extended at no cost.
    """

    __slots__ = ("_calendars", "_directives", "_moments")

    def __init__(self) -> None:
        self._calendars: list[Calendar] = []
        self._directives: list[tuple[int, str]] = []
        self._moments: list[tuple[int, MomentKind, str]] = []

    def directive(self, due: int, directive_id: str) -> None:
        heappush(self._directives, (due, directive_id))

    def moment(self, due: int, kind: MomentKind, key: str) -> None:
        heappush(self._moments, (due, kind, key))

    def due_directive(self, time: int) -> tuple[int, str] | None:
        """Take the first entry that is overdue at ``time`` (without outages), if any."""
        if self._directives and self._directives[0][0] < time:
            return heappop(self._directives)
        return None

    def due_moment(self, time: int) -> tuple[int, MomentKind, str] | None:
        """Take the first entry that is overdue at fleet time ``time``, if any."""
        if self._calendars:
            return self._first_of_all(time)
        if self._moments and self._moments[0][0] < time:
            return heappop(self._moments)
        return None

    def _first_of_all(self, time: int) -> tuple[int, MomentKind, str] | None:
        first = self._moments[0] if self._moments else None
        holder: Calendar | None = None
        for calendar in self._calendars:
            head = calendar.head
            if head is not None and (first is None or head < first):
                first, holder = head, calendar
        if first is None or first[0] >= time:
            return None
        if holder is None:
            return heappop(self._moments)
        holder.pass_on()
        return first

    def crowded(self, live: int) -> bool:
        """Whether most entries of directives belong to ones that ended long before they were due."""
        return len(self._directives) > 4 * live + _ROOM

    def directives_are(self, entries: list[tuple[int, str]]) -> None:
        heapify(entries)
        self._directives = entries

    def moments_are(self, entries: list[tuple[int, MomentKind, str]]) -> None:
        heapify(entries)
        self._moments = entries

    def calendars_are(self, calendars: list[Calendar]) -> None:
        """Beside the moments that are given one by one."""
        self._calendars = [calendar for calendar in calendars if calendar.head is not None]
