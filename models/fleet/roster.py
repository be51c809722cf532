"""Agents as the ledger sees them: what each is, and how much of it is held by live directives.

All of this derives from the rows of agents and directives; nothing here survives a restart by itself, and
nothing here decides (``models.fleet.feasibility`` does).
"""

from __future__ import annotations

from collections.abc import Hashable
from operator import itemgetter
from typing import Literal, TypeAlias

import numpy as np

from models.fleet.rows import AgentRow, DirectiveRow, TaskRow
from models.fleet.spread import Groups

Bound: TypeAlias = Literal["probation", "throttled", "loaded"]
"""Why an agent gets work for fewer slots than it has; see ``feasibility.MEANING``."""
Names: TypeAlias = tuple[str, ...]
ShapeKey: TypeAlias = tuple[
    Names, tuple[tuple[str, str], ...], tuple[tuple[str, int], ...], int, Names, Names
]


class Shape:
    """What agents of one kind have in common: whether a task could ever fit depends on nothing else.

    A fleet of thousands has few shapes, so that requirements are checked against shapes instead of agents.
    """

    __slots__ = (
        "agents",
        "capabilities",
        "key",
        "labels",
        "number",
        "only_capabilities",
        "only_tenants",
        "open",
        "resources",
        "slots",
        "standings",
    )

    def __init__(self, key: ShapeKey, row: AgentRow) -> None:
        self.key = key
        self.capabilities = frozenset(row.capabilities)
        self.labels = dict(row.labels)
        self.resources = dict(row.resources)
        self.slots = row.slots
        self.only_capabilities = frozenset(row.only_capabilities)
        self.only_tenants = frozenset(row.only_tenants)
        self.agents: dict[str, Agent] = {}
        """Registered agents of this shape, by id."""
        self.open = 0
        """How many of them get new work and have a free slot."""
        self.standings: dict[Hashable, dict[str, Agent]] = {}
        """The same agents, apart by what they can take now: those of one standing are all the same to a task."""
        self.number = -1
        """Its place in arrays, while it has agents; see :class:`Shapes`."""

    def stand(self, agent: Agent, standing: Hashable) -> None:
        """One of its agents can take more, or less, than before."""
        if agent.standing != standing:
            self.leave(agent)
            self.standings.setdefault(standing, {})[agent.id] = agent
            agent.standing = standing

    def leave(self, agent: Agent) -> None:
        """The agent has this shape no more, or is about to stand elsewhere."""
        group = self.standings.get(agent.standing)
        if group is not None and agent.standing is not None:
            del group[agent.id]
            if not group:
                del self.standings[agent.standing]
        agent.standing = None


class Shapes(dict[ShapeKey, Shape]):
    """The shapes of registered agents, each with a small number of its own, so that sets of them can be arrays.

    Attributes:
        with_room: By number, whether the shape has an agent with room. Longer than the numbers in use.
        version: Rises whenever a shape comes or goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.with_room = np.zeros(16, np.bool_)
        self.version = 0
        self._unused: list[int] = []
        self._next = 0

    def add(self, shape: Shape) -> None:
        self[shape.key] = shape
        self.version += 1
        if self._unused:
            shape.number = self._unused.pop()
        else:
            shape.number = self._next
            self._next += 1
        if shape.number >= len(self.with_room):
            self.with_room = np.concatenate([self.with_room, np.zeros_like(self.with_room)])

    def remove(self, shape: Shape) -> None:
        """It has no agents any more."""
        del self[shape.key]
        self.version += 1
        self._unused.append(shape.number)
        shape.number = -1

    def opened(self, shape: Shape, more: int) -> None:
        """So many more of its agents, or fewer, have room."""
        shape.open += more
        self.with_room[shape.number] = shape.open > 0


class Agent:
    """One agent with its live directives and the credit they hold."""

    __slots__ = (
        "groups",
        "held_resources",
        "held_slots",
        "id",
        "live",
        "open",
        "row",
        "shape",
        "silent",
        "standing",
        "tripped",
        "zone",
    )

    def __init__(self, row: AgentRow, shape: Shape, groups: Groups) -> None:
        self.id = row.agent_id
        self.row = row
        self.shape = shape
        self.groups = groups
        """Where the tasks of each group of its fleet are."""
        self.zone = row.zone
        """Where the groups know it to be; kept by ``State``."""
        self.live: dict[str, DirectiveRow] = {}
        self.held_slots = 0
        self.held_resources: dict[str, int] = {}
        self.open = False
        """Whether it gets new work and has a free slot; kept by ``State``."""
        self.standing: Hashable = None
        """What it can take now, among the agents of its shape; ``None`` before it is known. Kept by ``State``."""
        self.silent = False
        """Whether it counts among the suspected of its fleet; kept by ``State``."""
        self.tripped = False
        """Whether it counts among those whose breaker is open; kept by ``State``."""

    @property
    def registered(self) -> bool:
        return self.row.liveness != "deregistered"

    @property
    def credits(self) -> int:
        """How many slots it may be given work for: all, unless something bounds it."""
        row = self.row
        if row.limit is None and row.cap is None and not row.taken:
            return self.shape.slots
        return min((bound for bound, _ in self.bounds()), default=self.shape.slots)

    def bounds(self) -> list[tuple[int, Bound]]:
        """How many of its slots it may be given work for, and why not more, for each reason that there is."""
        row, slots = self.row, self.shape.slots
        bounds: list[tuple[int, Bound]] = []
        if row.limit is not None:
            bounds.append((min(row.limit, slots), "probation"))
        if row.cap is not None:
            bounds.append((min(row.cap, slots), "throttled"))
        if row.taken and slots > 1:
            bounds.append((max(slots - row.taken, 1), "loaded"))
        return bounds

    @property
    def bound(self) -> Bound | None:
        """Which of them is the closest; the first of equal ones."""
        return min(self.bounds(), key=itemgetter(0), default=(0, None))[1]

    @property
    def breaker(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return "closed" if self.row.limit is None else "open" if self.row.tripped_until else "half_open"

    def hold(self, directive_id: str, directive: DirectiveRow) -> None:
        self.live[directive_id] = directive
        self.reserve(directive.slots, directive.resources)

    def reserve(self, slots: int, resources: dict[str, int]) -> None:
        self.held_slots += slots
        for name, amount in resources.items():
            if amount:
                self.held_resources[name] = self.held_resources.get(name, 0) + amount

    def draft(self, groups: Groups | None = None) -> Agent:
        """A copy that a planner may reserve credit on; it knows no directives.

        Args:
            groups: Where tasks of groups would be, if not where they are.
        """
        copy = Agent(self.row, self.shape, groups or self.groups)
        copy.held_slots = self.held_slots
        copy.held_resources = dict(self.held_resources)
        return copy

    def without(self, task: TaskRow, groups: Groups | None = None) -> Agent:
        """A draft of it that has not this task, which it holds."""
        draft = self.draft(groups)
        draft.reserve(-task.slots, {name: -amount for name, amount in task.resources.items()})
        return draft

    def release(self, directive_id: str) -> None:
        directive = self.live.pop(directive_id)
        self.held_slots -= directive.slots
        for name, amount in directive.resources.items():
            left = self.held_resources.get(name, 0) - amount
            if left:
                self.held_resources[name] = left
            else:
                self.held_resources.pop(name, None)

    def in_order(self) -> list[tuple[str, DirectiveRow]]:
        """Its live directives in the order of issue, which a restored dictionary need not have."""
        return sorted(self.live.items(), key=lambda item: (item[1].offset, item[1].index))


def shape_key(row: AgentRow) -> ShapeKey:
    return (
        tuple(row.capabilities),
        tuple(sorted(row.labels.items())),
        tuple(sorted(row.resources.items())),
        row.slots,
        tuple(row.only_capabilities),
        tuple(row.only_tenants),
    )
