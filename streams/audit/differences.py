"""What is different between two states of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.fleet import FleetFold, views

_VIEWS = (
    ("agent", "agent_id", views.agents),
    ("task", "task_id", views.tasks),
    ("coalition", "coalition_id", views.coalitions),
)


def differences(before: FleetFold, after: FleetFold, fleet: str) -> Iterator[dict[str, Any]]:
    """Every agent, task and coalition that is not the same, in the order of ids.

    Each is ``{"kind", "id", "change", "fields"}``: ``added``, ``removed`` or ``changed``, and for each field that
    differs what it was and what it is.
    """
    for kind, identity, view in _VIEWS:
        old = {str(row[identity]): row for row in view(before, fleet)}
        new = {str(row[identity]): row for row in view(after, fleet)}
        for name in sorted(old.keys() | new.keys()):
            fields = _fields(old.get(name, {}), new.get(name, {}))
            if fields:
                change = "added" if name not in old else "removed" if name not in new else "changed"
                yield {"kind": kind, "id": name, "change": change, "fields": fields}


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = [*new, *(name for name in old if name not in new)]
    return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}
