"""What a fleet has of slots and of each named resource in all, who holds how much of it, who wants more."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.fleet.feasibility import available
from models.fleet.quotas import SLOTS
from models.fleet.rows import MICRO
from models.fleet.state import FleetState

NOBODY = ""
"""Stands for work without a tenant."""


@dataclass(slots=True)
class Use:
    """Of one tenant, in millionths."""

    held: int = 0
    """What its live directives hold."""
    wanted: int = 0
    """What its pending tasks would."""
    largest: int = 0
    """What one of its tasks needs at the most, on all its agents together."""

    @property
    def demand(self) -> int:
        return self.held + self.wanted


@dataclass(slots=True)
class Pool:
    """Slots, or one resource, of all agents together, in millionths."""

    capacity: int = 0
    """Of agents that get new work."""
    tenants: dict[str, Use] = field(default_factory=dict)

    def of(self, tenant: str) -> Use:
        return self.tenants.setdefault(tenant, Use())


def pools(fleet: FleetState) -> dict[str, Pool]:
    """By name, in the order of names. Resources that some agent has or some task wants, and ``slots``."""
    found: dict[str, Pool] = {SLOTS: Pool()}
    for agent in fleet.agents.values():
        if available(agent):
            found[SLOTS].capacity += agent.credits * MICRO
            for name, capacity in agent.shape.resources.items():
                if name != SLOTS:
                    found.setdefault(name, Pool()).capacity += capacity
        for row in agent.live.values():
            _add(found, row.tenant, row.slots, row.resources, held=1)
    for task_class in fleet.classes.values():
        if task_class.queue:
            members = 1 if task_class.team is None else task_class.team.max_size
            slots = task_class.slots * members
            resources = {name: amount * members for name, amount in task_class.resources.items()}
            _add(found, task_class.tenant, slots, resources, wanted=len(task_class.queue))
    return {name: found[name] for name in sorted(found)}


def _add(
    found: dict[str, Pool],
    tenant: str | None,
    slots: int,
    resources: dict[str, int],
    *,
    held: int = 0,
    wanted: int = 0,
) -> None:
    for name, amount in {**resources, SLOTS: slots * MICRO}.items():
        if amount:
            use = found.setdefault(name, Pool()).of(tenant or NOBODY)
            use.held += held * amount
            use.wanted += wanted * amount
            if wanted:
                use.largest = max(use.largest, amount)
