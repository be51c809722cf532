"""The planner for people: one task to one agent, because somebody said so. The fold checks it as any plan."""

from __future__ import annotations

from models.fleet_records import CoordinationPlan, PlannerVersion, ProposedDirective
from streams.planner.snapshot import FleetSnapshot


def plan_by_hand(snapshot: FleetSnapshot, task_id: str, agent_id: str) -> CoordinationPlan:
    """A plan with this one assignment.

    Raises:
        KeyError: if the fleet has no live task of that id.
    """
    task = snapshot.task(task_id)
    return CoordinationPlan(
        plan_id=f"{snapshot.fleet}.{snapshot.based_on}.{task_id}"[:128],
        fleet=snapshot.fleet,
        based_on=snapshot.based_on,
        directives=[ProposedDirective(task_id=task_id, agent_id=agent_id, epoch=task.epoch + 1)],
        priority=task.priority,
        planner=PlannerVersion(name="by-hand", version="1", budget=1),
        policy_version=snapshot.policy.version,
        pending=snapshot.pending(),
        provenance=snapshot.provenance,
    )
