"""Agents as the ledger sees them: what each is, and how much of it is held by live directives.

All of this derives from the rows of agents and directives; nothing here survives a restart by itself, and
nothing here decides (``models.fleet.feasibility`` does).
"""

from __future__ import annotations

from typing import TypeAlias

from models.fleet.rows import AgentRow, DirectiveRow

ShapeKey: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, str], ...], tuple[tuple[str, int], ...], int]


class Shape:
    """What agents of one kind have in common: whether a task could ever fit depends on nothing else.

    A fleet of thousands has few shapes, so that requirements are checked against shapes instead of agents.
    """

    __slots__ = ("agents", "capabilities", "key", "labels", "open", "resources", "slots")

    def __init__(self, key: ShapeKey, row: AgentRow) -> None:
        self.key = key
        self.capabilities = frozenset(row.capabilities)
        self.labels = dict(row.labels)
        self.resources = dict(row.resources)
        self.slots = row.slots
        self.agents: dict[str, Agent] = {}
        """Registered agents of this shape, by id."""
        self.open: dict[str, Agent] = {}
        """Those of them that get new work and have a free slot."""


class Agent:
    """One agent with its live directives and the credit they hold."""

    __slots__ = ("held_resources", "held_slots", "id", "live", "row", "shape")

    def __init__(self, row: AgentRow, shape: Shape) -> None:
        self.id = row.agent_id
        self.row = row
        self.shape = shape
        self.live: dict[str, DirectiveRow] = {}
        self.held_slots = 0
        self.held_resources: dict[str, int] = {}

    @property
    def registered(self) -> bool:
        return self.row.liveness != "deregistered"

    def hold(self, directive_id: str, directive: DirectiveRow) -> None:
        self.live[directive_id] = directive
        self.reserve(directive.slots, directive.resources)

    def reserve(self, slots: int, resources: dict[str, int]) -> None:
        self.held_slots += slots
        for name, amount in resources.items():
            if amount:
                self.held_resources[name] = self.held_resources.get(name, 0) + amount

    def draft(self) -> Agent:
        """A copy that a planner may reserve credit on; it knows no directives."""
        copy = Agent(self.row, self.shape)
        copy.held_slots = self.held_slots
        copy.held_resources = dict(self.held_resources)
        return copy

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
    )
