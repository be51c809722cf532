"""Applying plans: each entry is checked against the state as it is now, and what still holds is issued.

Planning in the open, checking at the end: the planner works on a snapshot, off the hot path, and appends what
it found to the fleet log. By the time the record arrives, agents may be gone, tasks cancelled, credit taken,
or another worker's planner may have been faster. Rather than to lock the state while planning, or to throw
away a whole plan for one stale entry, the fold asks the same feasibility function again, entry by entry, takes
what it can and counts why it could not take the rest. So a planner may be slow, stale, doubled, killed or
replaced: nothing it says can break an invariant, and whatever was refused is simply still pending.
"""

from __future__ import annotations

from models.fleet import tasks
from models.fleet.feasibility import feasibility
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import CoordinationPlan, ProposedDirective


def apply(step: Step, fleet: FleetState, plan: CoordinationPlan) -> None:
    refusals = step.state.clock.refusals
    for entry in plan.directives:
        refusal = _apply_entry(step, fleet, plan.plan_id, entry)
        if refusal is not None:
            refusals[refusal] = refusals.get(refusal, 0) + 1


def _apply_entry(step: Step, fleet: FleetState, plan_id: str, entry: ProposedDirective) -> str | None:
    """Issue the directive, or say why not."""
    task = step.state.tables.tasks.get(fleet.key(entry.task_id))
    if task is None:
        return "unknown_task"
    if task.state != "pending":
        return "not_pending"
    if entry.epoch != task.epoch + 1:
        return "stale_epoch"
    if task.coalition is not None:
        return "coalition"
    if task.retry_at > step.now:
        return "backoff"
    agent = fleet.agents.get(entry.agent_id)
    if agent is None or not agent.registered:
        return "unknown_agent"
    reason = feasibility(task, agent, step.now)
    if reason != "eligible":
        return reason
    tasks.assign(step, fleet, task, agent, plan_id)
    return None
