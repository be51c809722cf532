"""How much of the fleet each tenant may hold at once: slots, and named resources.

Two kinds of limits, both by policy: a *quota* is what an operator concedes to a tenant, an *allocation* its part
of what there is, as somebody has proposed it last (``streams.resources``). The lower one holds. A limit is a hard
one: a task that would exceed it waits, whoever is free. What a withdrawn task held counts until its agent has let
go of it. Work without a tenant has no limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from models.fleet.feasibility import Needs
from models.fleet.rows import MICRO, TaskRow
from models.fleet.tally import Tally
from models.policy import PlanningPolicy

SLOTS = "slots"
"""In a quota, the agents' slots; a resource of that name cannot be limited."""

Amounts: TypeAlias = Mapping[str, int]
"""Of slots and resources, in millionths."""


@dataclass(frozen=True, slots=True)
class Excess:
    """What keeps a tenant from one more task."""

    resource: str
    limit: int
    held: int
    wanted: int


class Holdings:
    """What each tenant holds.

    Args:
        tally: What is known already.
    """

    def __init__(self, tally: Tally | None = None) -> None:
        self._held = tally or Tally()

    def of(self, tenant: str) -> Amounts:
        return self._held.of(tenant)

    def add(self, tenant: str, slots: int, resources: Amounts, times: int = 1) -> None:
        """The tenant holds so much more, or less."""
        for name, amount in {**resources, SLOTS: slots * MICRO}.items():
            self._held.add(tenant, name, amount * times)

    def draft(self) -> Holdings:
        return Holdings(self._held.draft())

    def as_dict(self) -> dict[str, dict[str, int]]:
        return self._held.as_dict()


def limits(planning: PlanningPolicy, tenant: str | None) -> dict[str, int]:
    """What the tenant may hold at once, of whatever is limited."""
    if tenant is None or not (planning.quotas or planning.allocations):
        return {}
    found: dict[str, int] = {}
    for granted in (planning.quotas.get(tenant, {}), planning.allocations.get(tenant, {})):
        for name, amount in granted.items():
            limit = round(amount * MICRO)
            found[name] = min(found.get(name, limit), limit)
    return found


def excess(
    planning: PlanningPolicy, holdings: Holdings, needs: Needs, members: int | None = None
) -> Excess | None:
    """The first limit, by name, that the tenant would exceed with one task more of this kind; ``None`` if there is
    none.

    Args:
        members: How many agents it takes; by default so many as it takes at least.
    """
    bounds = limits(planning, needs.tenant or None)
    if not bounds:
        return None
    if members is None:
        members = 1 if needs.team is None else needs.team.least
    held = holdings.of(needs.tenant or "")
    for name in sorted(bounds):
        wanted = (needs.slots * MICRO if name == SLOTS else needs.resources.get(name, 0)) * members
        if wanted and held.get(name, 0) + wanted > bounds[name]:
            return Excess(name, bounds[name], held.get(name, 0), wanted)
    return None


def excess_instead(
    planning: PlanningPolicy, holdings: Holdings, task: TaskRow, victim: TaskRow
) -> Excess | None:
    """The same for a task of one agent, when another one, which gives way to it, has been let go of."""
    if not limits(planning, task.tenant):
        return None
    then = holdings.draft()
    if victim.tenant is not None:
        then.add(victim.tenant, victim.slots, victim.resources, -1)
    return excess(planning, then, task, 1)


def allowance(planning: PlanningPolicy, holdings: Holdings, needs: Needs, most: int) -> int:
    """For how many agents, up to ``most``, the tenant may hold what such a task needs of each; at least 1."""
    while most > 1 and excess(planning, holdings, needs, most):
        most -= 1
    return most


def exhausted(planning: PlanningPolicy, holdings: Holdings, tenant: str) -> bool:
    """Whether the tenant holds as many slots as it may, so that none of its tasks could have any."""
    limit = limits(planning, tenant or None).get(SLOTS)
    return limit is not None and holdings.of(tenant).get(SLOTS, 0) + MICRO > limit
