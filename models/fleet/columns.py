"""A fleet's registered agents as columns of numbers, in the order of their ids, for whoever looks at all of them.

A planner wants arrays of thousands of agents for a plan of a few tasks. So they are kept from plan to plan, and
only agents that have changed since are looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models import objective
from models.fleet.roster import Agent


class Columns:
    """What a fold knows of agents, as of the last :meth:`refresh`.

    Attributes:
        agents: Those that are registered.
        slots: For how many slots each may be given work.
        whole: How many it has; one task that fits into them is left to it in any case.
        held: How many are taken.
        slowness: See :func:`models.objective.slowness`.
        zones: A number for each agent's zone; ``zone_numbers`` says which.
        shapes: The number of each one's shape.
        open: Whether it gets new work and has a free slot.
    """

    __slots__ = (
        "_changed",
        "_fleet",
        "_positions",
        "agents",
        "held",
        "open",
        "shapes",
        "slots",
        "slowness",
        "whole",
        "zone_numbers",
        "zones",
    )

    def __init__(self, fleet: Mapping[str, Agent]) -> None:
        self._fleet = fleet
        self._changed: dict[str, Agent] = {}
        self._positions: dict[str, int] = {}
        self.agents: list[Agent] = []
        self.zone_numbers: dict[str | None, int] = {}
        self._build([])

    def changed(self, agent: Agent) -> None:
        """Something about the agent is different."""
        self._changed[agent.id] = agent

    def refresh(self) -> Columns:
        """Look at what has changed; returns itself."""
        if self._changed:
            changed = list(self._changed.values())
            self._changed = {}
            if any(agent.registered != (agent.id in self._positions) for agent in changed):
                self._build([self._fleet[name] for name in sorted(self._fleet)])
            else:
                self._write([self._positions[agent.id] for agent in changed if agent.registered])
        return self

    def position(self, agent_id: str) -> int | None:
        """Where a registered agent stands."""
        return self._positions.get(agent_id)

    def _build(self, agents: list[Agent]) -> None:
        self.agents = [agent for agent in agents if agent.registered]
        self._positions = {agent.id: position for position, agent in enumerate(self.agents)}
        self.zone_numbers = {}
        self.slots, self.whole, self.held, self.slowness, self.zones, self.shapes = np.zeros(
            (6, len(self.agents)), np.int64
        )
        self.open = np.zeros(len(self.agents), np.bool_)
        self._write(range(len(self.agents)))

    def _write(self, positions: list[int] | range) -> None:
        agents = [self.agents[position] for position in positions]
        where = np.array(positions, np.int64)
        numbers = self.zone_numbers
        self.slots[where] = [agent.credits for agent in agents]
        self.whole[where] = [agent.shape.slots for agent in agents]
        self.held[where] = [agent.held_slots for agent in agents]
        self.slowness[where] = [objective.slowness(agent.row.speed) for agent in agents]
        self.zones[where] = [numbers.setdefault(agent.row.zone, len(numbers)) for agent in agents]
        self.shapes[where] = [agent.shape.number for agent in agents]
        self.open[where] = [agent.open for agent in agents]
