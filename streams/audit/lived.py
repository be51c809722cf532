"""How a fleet fared in a part of history, recorded or lived again: what was submitted, how long that waited, and
what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.fleet import FleetFold
from models.fold import Output
from streams.audit.claims import value_of
from streams.audit.waits import Waits

_GIVES = ("assign_task", "join_coalition")


@dataclass(slots=True)
class Lived:
    """Counts what it is told, in order.

    Attributes:
        waits: From the submission of a task to its first assignment; those that wait at the end have waited until
            then, or who never serves them would look the better for it.
        turnaround: From submission to completion.
        directives: By type.
        results: By type; ``deadline`` counts those among the failed that were too late.
    """

    fleet: str
    submitted: int = 0
    unassigned: int = 0
    """At the end."""
    unfinished: int = 0
    moved: int = 0
    preempted: int = 0
    waits: Waits = field(default_factory=Waits)
    turnaround: Waits = field(default_factory=Waits)
    directives: dict[str, int] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    deadlines_missed: int = 0
    _live: dict[str, int] = field(default_factory=dict)
    """Tasks that have not ended, with the time of their submission."""
    _waiting: dict[str, int] = field(default_factory=dict)
    """Those of them that nobody was ever given."""

    def begin(self, fold: FleetFold) -> None:
        """What was moved and preempted before does not count."""
        known = fold.state.fleets.get(self.fleet)
        if known is not None:
            self.moved, self.preempted = -known.row.moved, -known.row.preempted

    def count(self, value: dict[str, Any], now: int, outputs: Sequence[Output], fold: FleetFold) -> None:
        """A record that was folded, at its time, and what was put out because of it."""
        if value.get("type") == "task_submitted":
            self._submit(value.get("event") or {}, now, fold)
        for output in outputs:
            if output.topic == "directives":
                self._directed(value_of(output), now)
            elif output.topic == "results":
                self._ended(value_of(output), now)

    def end(self, fold: FleetFold, now: int) -> None:
        for submitted in self._waiting.values():
            self.waits.add(now - submitted)
        self.unassigned, self.unfinished = len(self._waiting), len(self._live)
        known = fold.state.fleets.get(self.fleet)
        if known is not None:
            self.moved += known.row.moved
            self.preempted += known.row.preempted

    def _submit(self, event: dict[str, Any], now: int, fold: FleetFold) -> None:
        task_id = event.get("task_id")
        known = fold.state.fleets.get(self.fleet)
        if not isinstance(task_id, str) or known is None or task_id in self._live:
            return
        if known.key(task_id) in fold.state.tables.tasks.rows:  # else it was refused, or has ended long ago
            self.submitted += 1
            self._live[task_id] = self._waiting[task_id] = now

    def _directed(self, directive: dict[str, Any], now: int) -> None:
        if directive.get("fleet") != self.fleet:
            return
        kind = directive["type"]
        self.directives[kind] = self.directives.get(kind, 0) + 1
        if kind in _GIVES:
            submitted = self._waiting.pop(directive["task_id"], None)
            if submitted is not None:
                self.waits.add(now - submitted)

    def _ended(self, result: dict[str, Any], now: int) -> None:
        if result.get("fleet") != self.fleet:
            return
        kind = result["type"]
        self.results[kind] = self.results.get(kind, 0) + 1
        self.deadlines_missed += result.get("reason") == "deadline"
        submitted = self._live.pop(result["task_id"], None)
        waiting = self._waiting.pop(result["task_id"], None)
        if waiting is not None:
            self.waits.add(now - waiting)
        if submitted is not None and kind == "task_completed":
            self.turnaround.add(now - submitted)

    def on_wire(self) -> dict[str, object]:
        return {
            "submitted": self.submitted,
            "results": dict(sorted(self.results.items())),
            "unassigned": self.unassigned,
            "unfinished": self.unfinished,
            "deadlines_missed": self.deadlines_missed,
            "waits": self.waits.on_wire(),
            "turnaround": self.turnaround.on_wire(),
            "directives": dict(sorted(self.directives.items())),
            "moved": self.moved,
            "preempted": self.preempted,
        }
