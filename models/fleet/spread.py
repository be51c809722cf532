"""Keeping tasks of a group apart: on different agents, in different zones, on different values of a label.

What one failure takes out should not be all of a group: replicas of one thing, say. So a task may name its group
and by what it is to be spread. Wherever tasks of the group are already, one more costs more (``Weights.crowded``);
where there are ``most`` of them, it may not go at all. Which tasks are where is what live directives say: one
that is being withdrawn counts until its agent has let go of it. All agents without a zone, or without the label,
are one place. An agent that changes its zone takes its tasks along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from models.fleet.tally import Tally

if TYPE_CHECKING:
    from models.fleet.roster import Agent
    from models.fleet.rows import AgentRow, TaskRow

LABELS = "labels."
"""Before the name of a label by which a group is spread."""


class Spread(msgspec.Struct, array_like=True, frozen=True):
    """What a task wants of others of its group."""

    group: str
    by: str = "agent"
    """``agent``, ``zone``, or ``labels.`` and the name of one."""
    most: int | None = None
    """So many of the group may be at one place at the same time, this one included; ``None`` for any number."""

    def on_wire(self) -> dict[str, object]:
        return {"group": self.group, "by": self.by, "most": self.most}

    def place(self, row: AgentRow) -> str | None:
        """Where the agent is, as far as this is concerned."""
        if self.by == "agent":
            return row.agent_id
        return row.zone if self.by == "zone" else row.labels.get(self.by.removeprefix(LABELS))


class Groups:
    """How many tasks of each group every agent, and so every place, has.

    Args:
        agents: Of the fleet, by id.
        tally: What is known already.
    """

    def __init__(self, agents: Mapping[str, Agent], tally: Tally | None = None) -> None:
        self._agents = agents
        self._held = tally or Tally()
        """Of each group, the agents that have tasks of it, and how many."""
        self._counts: dict[str, dict[str, dict[str | None, int]]] = {}
        """Of groups that were asked for, by what they are spread by, how many there are at each place."""

    def join(self, group: str, agent_id: str) -> None:
        """The agent has one task of the group more."""
        self._add(group, agent_id, 1)

    def leave(self, group: str, agent_id: str) -> None:
        """The agent has one of them less."""
        self._add(group, agent_id, -1)
        if not self._held.of(group):
            self._counts.pop(group, None)

    def counts(self, spread: Spread) -> Mapping[str | None, int]:
        """Of each place how many of the group are there; of those that are not named, none."""
        held = self._held.of(spread.group)
        if not held:
            return {}
        by_place = self._counts.setdefault(spread.group, {})
        counts = by_place.get(spread.by)
        if counts is None:
            counts = {}
            for agent_id, count in held.items():
                place = spread.place(self._agents[agent_id].row)
                counts[place] = counts.get(place, 0) + count
            by_place[spread.by] = counts
        return counts

    def at(self, spread: Spread, row: AgentRow, holder: str | None = None) -> int:
        """How many of the group are where the agent is, one that ``holder`` has left out."""
        place = spread.place(row)
        found = self.counts(spread).get(place, 0)
        return found - (holder is not None and spread.place(self._agents[holder].row) == place)

    def forget_places(self) -> None:
        """An agent is elsewhere."""
        self._counts.clear()

    def draft(self) -> Groups:
        return Groups(self._agents, self._held.draft())

    def as_dict(self) -> dict[str, dict[str, int]]:
        return self._held.as_dict()

    def _add(self, group: str, agent_id: str, more: int) -> None:
        self._held.add(group, agent_id, more)
        for by, counts in self._counts.get(group, {}).items():
            place = Spread(group, by).place(self._agents[agent_id].row)
            counts[place] = counts.get(place, 0) + more


def holder_of(task: TaskRow) -> str | None:
    """The agent that has the task alone, if one has."""
    return task.agent_id if task.directive_id is not None else None
