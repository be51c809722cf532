"""Applying plans: each entry is checked against the state as it is now, and what still holds is issued.

Planning in the open, checking at the end: the planner works on a snapshot, off the hot path, and appends what
it found to the fleet log. By the time the record arrives, agents may be gone, tasks cancelled, credit taken,
or another worker's planner may have been faster. Rather than to lock the state while planning, or to throw
away a whole plan for one stale entry, the fold asks the same feasibility function again, entry by entry, takes
what it can and counts why it could not take the rest. So a planner may be slow, stale, doubled, killed or
replaced: nothing it says can break an invariant, and whatever was refused is simply still pending.
"""

from __future__ import annotations

from models.fleet import coalitions, tasks
from models.fleet.feasibility import feasibility
from models.fleet.quotas import excess, excess_instead
from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet_records import (
    CoordinationPlan,
    ProposedCoalition,
    ProposedDirective,
    ProposedMove,
    ProposedPreemption,
)

_LARGEST = 1 << 62
_LONGEST_NAME = 128


def apply(step: Step, fleet: FleetState, plan: CoordinationPlan) -> None:
    _note_origin(step, fleet, plan)
    _note_cost(step, fleet, plan)
    refusals = step.state.clock.refusals
    for entry in plan.directives:
        if isinstance(entry, ProposedDirective):
            refusal = _assign(step, fleet, plan.plan_id, entry)
        elif isinstance(entry, ProposedPreemption):
            refusal = _preempt(step, fleet, entry)
        elif isinstance(entry, ProposedMove):
            refusal = _move(step, fleet, plan.plan_id, entry)
        elif entry.type == "form_coalition":
            refusal = _form(step, fleet, plan.plan_id, entry)
        else:
            refusal = _repair(step, fleet, entry)
        if refusal is not None:
            refusals[refusal] = refusals.get(refusal, 0) + 1


def _note_origin(step: Step, fleet: FleetState, plan: CoordinationPlan) -> None:
    """Remember who plans."""
    planner = f"{plan.planner.name}/{plan.planner.version}"[:_LONGEST_NAME]
    if fleet.row.planner != planner:
        fleet.row.planner = planner
        step.state.touch_fleet(fleet)


def _note_cost(step: Step, fleet: FleetState, plan: CoordinationPlan) -> None:
    """Remember for the next report how far from the best the plan may be, by its own word."""
    if plan.bound is None:
        return
    placed = sum(entry.type in ("assign_task", "form_coalition") for entry in plan.directives)
    left = max(0, sum(plan.pending.values()) - placed) * fleet.policy.planning.objective.unplaced
    row = fleet.row
    row.plans += 1
    # A record may say anything; sums stay integers that every store can hold.
    row.plan_cost = min(row.plan_cost + max(0, plan.objective - left), _LARGEST)
    row.plan_bound = min(row.plan_bound + max(0, plan.bound - left), _LARGEST)
    step.state.touch_fleet(fleet)


def _assign(step: Step, fleet: FleetState, plan_id: str, entry: ProposedDirective) -> str | None:
    """Issue the directive, or say why not."""
    task = _pending(step, fleet, entry.task_id, entry.epoch)
    if isinstance(task, str):
        return task
    if task.coalition is not None:
        return "coalition"
    if _is_over_quota(fleet, task):
        return "quota"
    agent = _able(step, fleet, task, entry.agent_id)
    if isinstance(agent, str):
        return agent
    tasks.assign(step, fleet, task, agent, plan_id)
    return None


def _form(step: Step, fleet: FleetState, plan_id: str, entry: ProposedCoalition) -> str | None:
    """Ask all members, or say why none."""
    task = _pending(step, fleet, entry.task_id, entry.epoch)
    if isinstance(task, str):
        return task
    if task.team is None:
        return "no_coalition"
    if _is_over_quota(fleet, task, len(entry.members)):
        return "quota"
    asked = _asked(step, fleet, task, entry)
    if isinstance(asked, str):
        return asked
    misfit = task.team.misfit([(agent.shape.capabilities, role) for agent, role in asked])
    if misfit is None:
        coalitions.form(step, fleet, task, asked, plan_id)
    return misfit


def _repair(step: Step, fleet: FleetState, entry: ProposedCoalition) -> str | None:
    """Ask agents to fill all vacancies, or say why none."""
    task = step.state.tables.tasks.get(fleet.key(entry.task_id))
    if task is None:
        return "unknown_task"
    if task.coalition_id is None or task.team is None:
        return "no_coalition"
    if entry.epoch != task.epoch:
        return "stale_epoch"
    row = step.state.tables.coalitions.rows[task.coalition_id]
    missing = task.team.missing(coalitions.members_of(row))
    if missing is None:
        return "not_degraded"
    if _is_over_quota(fleet, task, len(entry.members)):
        return "quota"
    asked = _asked(step, fleet, task, entry)
    if isinstance(asked, str):
        return asked
    if not {agent.id for agent, _ in asked}.isdisjoint(member.agent_id for member in row.members):
        return "member_already"
    misfit = missing.misfit([(agent.shape.capabilities, role) for agent, role in asked])
    if misfit is None:
        coalitions.repair(step, fleet, task, asked)
    return misfit


def _preempt(step: Step, fleet: FleetState, entry: ProposedPreemption) -> str | None:
    """Let one task give way to another, or say why not."""
    other = step.state.tables.tasks.get(fleet.key(entry.for_task))
    if other is None:
        return "unknown_task"
    task = _assigned(step, fleet, entry.task_id, entry.agent_id, entry.epoch)
    if isinstance(task, str):
        return task
    if other.state != "pending":
        return "not_pending"
    delta = fleet.policy.planning.preemption
    if not delta or other.priority < task.standing + delta:
        return "priority"
    if step.state.has_claim(other):
        return "claimed"
    if excess_instead(fleet.policy.planning, fleet.holdings, other, task):
        return "quota"
    agent = fleet.agents[entry.agent_id]
    reason = feasibility(other, agent.without(task), step.now)
    if reason != "eligible":
        return reason
    tasks.give_way(step, fleet, task, other)
    return None


def _move(step: Step, fleet: FleetState, plan_id: str, entry: ProposedMove) -> str | None:
    """Let a task change its agent, or say why not."""
    gate = fleet.policy.rebalancing
    task = _assigned(step, fleet, entry.task_id, entry.from_agent, entry.epoch - 1)
    if isinstance(task, str):
        return task
    if not gate.moves:
        return "rebalancing_off"
    if task.moved_at and step.now < task.moved_at + gate.cool_down:
        return "moved_lately"
    if entry.agent_id == task.agent_id:
        return "same_agent"
    if _is_over_quota(fleet, task):
        return "quota"
    agent = _able(step, fleet, task, entry.agent_id)
    if isinstance(agent, str):
        return agent
    tasks.move(step, fleet, task, agent, plan_id)
    return None


def _pending(step: Step, fleet: FleetState, task_id: str, epoch: int) -> TaskRow | str:
    """The task, if it may be placed now, at this epoch; else why not."""
    task = step.state.tables.tasks.get(fleet.key(task_id))
    if task is None:
        return "unknown_task"
    if task.state != "pending":
        return "not_pending"
    if epoch != task.epoch + 1:
        return "stale_epoch"
    if task.retry_at > step.now:
        return "backoff"
    return task


def _assigned(step: Step, fleet: FleetState, task_id: str, agent_id: str, epoch: int) -> TaskRow | str:
    """The task, if this agent has it alone, at this epoch; else why not."""
    task = step.state.tables.tasks.get(fleet.key(task_id))
    if task is None:
        return "unknown_task"
    if task.directive_id is None or task.agent_id != agent_id:
        return "not_assigned"
    return task if epoch == task.epoch else "stale_epoch"


def _is_over_quota(fleet: FleetState, task: TaskRow, members: int = 1) -> bool:
    """Whether its tenant may not hold so much more."""
    return excess(fleet.policy.planning, fleet.holdings, task, members) is not None


def _able(step: Step, fleet: FleetState, task: TaskRow, agent_id: str) -> Agent | str:
    """The agent, if it could take the task now; else why not."""
    agent = fleet.agents.get(agent_id)
    if agent is None or not agent.registered:
        return "unknown_agent"
    reason = feasibility(task, agent, step.now)
    return agent if reason == "eligible" else reason


def _asked(
    step: Step, fleet: FleetState, task: TaskRow, entry: ProposedCoalition
) -> list[tuple[Agent, str | None]] | str:
    """The proposed members with their roles, if each of them could take the task now; else why not."""
    asked: list[tuple[Agent, str | None]] = []
    for member in entry.members:
        agent = _able(step, fleet, task, member.agent_id)
        if isinstance(agent, str):
            return agent
        asked.append((agent, member.role))
    if len({agent.id for agent, _ in asked}) < len(asked):
        return "member_already"
    return asked
