"""Why a directive was given: what led to it, what the fleet was like, what else there was, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.fields import seconds
from models.fleet import FleetFold
from models.fleet.explain import explain
from models.fold import Record
from streams.audit.claims import value_of
from streams.audit.story import Entry, Kind, Storyteller

_OF_PLANS = ("plan_id", "based_on", "planner", "objective", "bound")


class Cause:
    """Folds the fleet log, and looks at the state just before a directive and just after.

    Args:
        fold: Of the partition that holds the fleet, empty.
        fleet: The fleet.
        offset: Of the record that put the directive out, as its id says.
        directive_id: Its id.

    Attributes:
        directive: What the agent was told; ``None`` if no such directive was ever put out.
        because: The record that put it out.
        before: Why its task waited until then, and what kept each agent from it; ``None`` if it is about no task.
        after: What its place cost then, beside the cheapest others that it could have had.
    """

    def __init__(self, fold: FleetFold, fleet: str, offset: int, directive_id: str) -> None:
        self._fold = fold
        self._fleet = fleet
        self._offset = offset
        self._directive_id = directive_id
        self._story: Storyteller | None = None
        self.directive: dict[str, Any] | None = None
        self.because: dict[str, Any] | None = None
        self.before: dict[str, object] | None = None
        self.after: dict[str, object] | None = None

    def hear(self, records: Sequence[Record]) -> None:
        """Fold these records."""
        if self._story is not None:
            return self._story.hear(records)
        for number, record in enumerate(records):
            if record.offset == self._offset:
                self._fold.fold(records[:number])
                self._look(record)
                return self.hear(records[number + 1 :])
        self._fold.fold(records)
        return None

    def _look(self, record: Record) -> None:
        """Fold the record, and tell of the directive that it puts out."""
        value = value_of(record)
        before = {name: explain(self._fold, self._fleet, name) for name in _tasks_of(value)}
        told = [value_of(output) for output in self._fold.fold([record]) if output.topic == "directives"]
        directive = next((one for one in told if one.get("directive_id") == self._directive_id), None)
        if directive is None:
            return
        self.directive = directive
        task_id = directive.get("task_id")
        if task_id is not None:
            self.before = before.get(task_id)
            self.after = explain(self._fold, self._fleet, task_id)
        source = value.get("source")
        self.because = {
            "offset": record.offset,
            "time": seconds(record.timestamp),
            "type": value.get("type"),
            "source": source if isinstance(source, dict) else None,
            **{name: value[name] for name in _OF_PLANS if name in value},
        }
        kind: Kind = "agent" if task_id is None else "task"
        self._story = Storyteller(self._fold, self._fleet, kind, directive[f"{kind}_id"])
        self._story.knows(self._directive_id)

    @property
    def then(self) -> list[Entry]:
        """What its agent answered, and what came of that."""
        if self._story is None:
            return []
        return [
            entry for entry in self._story.entries if entry.says.get("directive_id") == self._directive_id
        ]


def _tasks_of(value: dict[str, Any]) -> list[str]:
    entries = value.get("directives")
    if not isinstance(entries, list):
        return []
    return [entry["task_id"] for entry in entries if isinstance(entry, dict) and "task_id" in entry]
