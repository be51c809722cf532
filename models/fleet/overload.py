"""Where a fleet is too small: capabilities for which tasks wait longer than they should since nobody has room.

Looked at whenever a report goes out. Tasks that require the same capabilities are taken together: what is lacking
is agents that have them, and how many more slots would be enough for what waits is said, as a hint to whoever can
start some.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.fleet.feasibility import available
from models.fleet.quotas import excess
from models.fleet.roster import Shape
from models.fleet.state import FleetState
from models.fleet.step import Step

MOST = 1_000
"""Sets of capabilities that are remembered as overloaded; of more, some are forgotten."""


@dataclass(slots=True)
class _Demand:
    tasks: int = 0
    slots: int = 0
    shapes: dict[int, Shape] = field(default_factory=dict)


def review(step: Step, fleet: FleetState) -> None:
    """Tell of capabilities that have been short for ``overload_after``."""
    demands: dict[tuple[str, ...], _Demand] = {}
    for task_class in fleet.classes.values():
        if not task_class.queue or task_class.impossible or task_class.has_room(fleet.shapes):
            continue
        if not excess(fleet.policy.planning, fleet.holdings, task_class):
            demand = demands.setdefault(tuple(task_class.capabilities), _Demand())
            demand.tasks += len(task_class.queue)
            demand.slots += len(task_class.queue) * task_class.slots
            demand.shapes |= task_class.capable
    before = fleet.row.overloaded
    if not demands and not before:
        return
    now = {"+".join(capabilities): capabilities for capabilities in sorted(demands)[:MOST]}
    fleet.row.overloaded = {name: before.get(name, step.now) for name in now}
    step.state.touch_fleet(fleet)
    for name, capabilities in now.items():
        demand = demands[capabilities]
        since = fleet.row.overloaded[name]
        if step.now - since >= fleet.policy.overload_after:
            agents = [agent for shape in demand.shapes.values() for agent in shape.agents.values()]
            details = {
                "capabilities": list(capabilities),
                "tasks": demand.tasks,
                "since": since / 1000,
                "agents": len(agents),
                "slots": sum(agent.credits for agent in agents if available(agent)),
                "more_slots": demand.slots,
            }
            step.alert_seldom(fleet, "overload", name or "any", "capacity", details)
