"""The one feasibility function: may this agent be given this task now, and if not, why not.

Planning, applying, explaining and dry runs all ask here. Planners and appliers that disagree about what is
feasible refuse each other's work forever; one function cannot disagree with itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, Protocol, TypeAlias, get_args

from models.fleet.roster import Agent, Shape
from models.fleet.rows import TaskRow
from models.fleet.spread import Spread, holder_of
from models.fleet.team import Team

Reason: TypeAlias = Literal[
    "capability",
    "label",
    "resource",
    "slots",
    "refuses",
    "offline",
    "error",
    "lost",
    "suspected",
    "drained",
    "cordoned",
    "draining",
    "tripped",
    "cooling_down",
    "no_credit",
    "probation",
    "throttled",
    "loaded",
    "resource_held",
    "spread",
    "eligible",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""From farthest to nearest: what keeps an agent from a task, in the order in which it is checked."""

MEANING: dict[Reason, str] = {
    "capability": "lacks a capability that the task requires, or has none that its coalition needs",
    "label": "has not the labels that the task requires",
    "resource": "has less of a resource, even when idle, than the task requires",
    "slots": "has fewer slots, even when idle, than the task takes",
    "refuses": "takes only tasks of other kinds, or of other tenants",
    "offline": "says that it is offline",
    "error": "says that it is in error",
    "lost": "has been silent for too long and counts as lost",
    "suspected": "has been silent for a while; it gets no new work until it is heard of",
    "drained": "is being drained by an operator",
    "cordoned": "is cordoned by an operator",
    "draining": "says that it is draining",
    "tripped": "failed at several tasks in a row, or was lost again and again, and gets no new work for a while",
    "cooling_down": "rejected or ignored this task a moment ago and is not asked again yet",
    "no_credit": "has no free slot for it",
    "probation": "failed at several tasks in a row, or was lost again and again, and gets few at once until it "
    "completes some",
    "throttled": "failed at too many of its tasks lately and gets fewer at once",
    "loaded": "reports load beyond what it was given here and gets fewer at once",
    "resource_held": "holds too much of a resource for other tasks",
    "spread": "is where there are enough tasks of its group already",
    "eligible": "could take it now",
}


class Needs(Protocol):
    """What a task, or a class of equal tasks, asks of an agent."""

    @property
    def capabilities(self) -> list[str]: ...
    @property
    def resources(self) -> dict[str, int]: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def slots(self) -> int: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def team(self) -> Team | None: ...
    @property
    def spread(self) -> Spread | None: ...


def feasibility(task: TaskRow, agent: Agent, now: int) -> Reason:
    """The first reason that keeps ``agent`` from ``task`` at issue time ``now``, or ``eligible``."""
    skipped_until = task.skips.get(agent.id, 0)
    return never(task, agent.shape) or not_now(task, agent, skipped_until, now, holder_of(task)) or "eligible"


def never(needs: Needs, shape: Shape) -> Reason | None:
    """Why an agent of this shape could not even hold it when alone, well and idle; ``None`` if it could."""
    if not shape.capabilities.issuperset(needs.capabilities):
        return "capability"
    team = needs.team
    if team is not None and not team.admits(shape.capabilities):
        return "capability"
    for name, value in needs.labels.items():
        if shape.labels.get(name) != value:
            return "label"
    for name, amount in needs.resources.items():
        if amount > shape.resources.get(name, 0):
            return "resource"
    if needs.slots > shape.slots:
        return "slots"
    return "refuses" if _refused(needs, team, shape) else None


def _refused(needs: Needs, team: Team | None, shape: Shape) -> bool:
    """Whether agents of this shape take only other kinds of tasks."""
    if shape.only_tenants and needs.tenant not in shape.only_tenants:
        return True
    only = shape.only_capabilities
    if not only or not only.isdisjoint(needs.capabilities):
        return False
    return team is None or only.isdisjoint(team.wanted)


def not_now(
    needs: Needs, agent: Agent, skipped_until: int, now: int, holder: str | None = None
) -> Reason | None:
    """Why an agent of a fitting shape cannot take it at issue time ``now``, or take it over from its ``holder``;
    ``None`` if it can."""
    away = unavailable(agent)
    if away is not None:
        return away
    if now < skipped_until:
        return "cooling_down"
    then = agent.held_slots + needs.slots
    if then > agent.shape.slots:
        return "no_credit"
    if then > agent.credits and agent.held_slots:  # one task at least, however large, is left to it
        return agent.bound
    for name, amount in needs.resources.items():
        if agent.held_resources.get(name, 0) + amount > agent.shape.resources.get(name, 0):
            return "resource_held"
    spread = needs.spread
    if spread is None or spread.most is None or agent.groups.at(spread, agent.row, holder) < spread.most:
        return None
    return "spread"


def standing(agent: Agent) -> Hashable:
    """All that :func:`not_now` depends on for agents of one shape, but for resources that they hold, and for
    where tasks of a group are."""
    away = unavailable(agent)
    usable = agent.credits
    bound = agent.bound if usable < agent.shape.slots else None
    return away or (agent.held_slots, usable, bound, not agent.held_resources)


def available(agent: Agent) -> bool:
    """Whether the agent gets new work at all."""
    return agent.registered and unavailable(agent) is None


def unavailable(agent: Agent) -> Reason | None:
    """Why the agent gets no new work at all, whatever the task; ``None`` if it gets some."""
    row = agent.row
    if row.status == "offline" or row.status == "error":
        return row.status
    if row.liveness == "suspected":
        return "suspected"
    if row.liveness != "alive":
        return "lost"
    if row.drained:
        return "drained"
    if row.cordoned:
        return "cordoned"
    if row.status == "draining":
        return "draining"
    if row.tripped_until:
        return "tripped"
    return None
