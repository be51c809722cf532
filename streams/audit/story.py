"""Stories: everything that happened to a task or an agent, in order, each with the record that brought it about.

The fleet log is folded record by record. A record belongs to a story if it speaks of its subject, or if something
was put out about it because of the record: a directive, a result, an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from models.fields import seconds
from models.fleet import FleetFold
from models.fold import Output, Record
from streams.audit.claims import value_of

Kind: TypeAlias = Literal["task", "agent"]


_OF_PLANS = ("plan_id", "based_on", "planner")
_ENVELOPE = frozenset({"type", "fleet", "source", "through"})
_NOT_TOLD = frozenset({"fleet", "cause", "provenance", "payload"})
"""Of outputs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the fleet log in a story."""

    offset: int
    time: int
    """Its append time, milliseconds."""
    type: str
    source: tuple[int, int] | None
    """Partition and offset in ``coordinator.events`` that it stems from, if it does."""
    says: dict[str, Any]
    """What it says of the subject."""
    brings: list[dict[str, Any]] = field(default_factory=list)
    """What was put out about the subject because of it."""

    def on_wire(self) -> dict[str, Any]:
        source = None if self.source is None else {"partition": self.source[0], "offset": self.source[1]}
        return {
            "offset": self.offset,
            "time": seconds(self.time),
            "type": self.type,
            "source": source,
            "says": self.says,
            "brings": self.brings,
        }


class Storyteller:
    """Folds the fleet log and keeps what belongs to one story.

    Args:
        fold: Of the partition that holds the fleet, empty.
        fleet: Whose story it is.
        kind: Of what.
        name: Its id.
    """

    def __init__(self, fold: FleetFold, fleet: str, kind: Kind, name: str) -> None:
        self.fold = fold
        self._fleet = fleet
        self._field = f"{kind}_id"
        self._name = name
        self._bytes = orjson.dumps(name)
        self.entries: list[Entry] = []
        self._directives: set[str] = set()
        """Ids of those about the subject: answers to them belong to the story, too."""

    def knows(self, directive_id: str) -> None:
        """A directive about the subject that was put out before: answers to it belong to the story."""
        self._directives.add(directive_id)

    def hear(self, records: Sequence[Record]) -> None:
        """Fold these records, and keep those of the story."""
        for record in records:
            outputs = [output for output in self.fold.fold([record]) if self._bytes in (output.value or b"")]
            value = record.value or b""
            if outputs or self._bytes in value or b'"directive_response"' in value:
                self._keep(record, outputs)

    def _keep(self, record: Record, outputs: Sequence[Output]) -> None:
        value = value_of(record)
        brings = [told for output in outputs if (told := self._of_output(output))]
        self._directives.update(told["directive_id"] for told in brings if "directive_id" in told)
        says = self._says(value)
        if says is None and not brings:
            return
        source = value.get("source")
        known = isinstance(source, dict) and "offset" in source
        self.entries.append(
            Entry(
                record.offset,
                record.timestamp,
                str(value.get("type")),
                (source["partition"], source["offset"]) if known and isinstance(source, dict) else None,
                says or {},
                brings,
            )
        )

    def _says(self, value: dict[str, Any]) -> dict[str, Any] | None:
        """What a record says of the subject: an event's own words, or the entries of a plan about it."""
        event = value.get("event")
        said: dict[str, Any] = event if isinstance(event, dict) else value
        if said.get("fleet", "default") != self._fleet:
            return None
        entries = value.get("directives")
        if isinstance(entries, list):
            found = [entry for entry in entries if self._is_about(entry)]
            kept: dict[str, Any] = {name: value[name] for name in _OF_PLANS if name in value}
            return {**kept, "directives": found} if found else None
        if self._is_about(said) or said.get("directive_id") in self._directives:
            return {name: one for name, one in said.items() if name not in _ENVELOPE}
        return None

    def _is_about(self, said: Any) -> bool:
        if not isinstance(said, dict):
            return False
        if said.get(self._field) == self._name or said.get("from_agent") == self._name:
            return True
        members = said.get("members")
        return isinstance(members, list) and any(self._is_about(member) for member in members)

    def _of_output(self, output: Output) -> dict[str, Any] | None:
        value = value_of(output)
        about = value.get(self._field) == self._name or value.get("subject") == self._name
        if value.get("fleet") != self._fleet or not about:
            return None
        return {name: one for name, one in value.items() if name not in _NOT_TOLD}
