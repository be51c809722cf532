"""Coalitions: several agents that do one task together, all of them or none.

forming → active → dissolved, and degraded → repairing → active whenever a member is missing

Every member is asked to join and holds its credit from then on. When all have accepted, the coalition is active:
each gets its part of the task, on the credit of its join. Who refuses, does not answer or is lost leaves a
vacancy; the coalition is degraded until a plan fills it, and the others go on meanwhile. If that is not done in
time (``reservation``), all are dismissed and the task waits again: nobody is held for ever by a coalition that
does not come about, so that two that wait for each other's agents come apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from models.codec import encode
from models.fleet import impossible, ledger, tasks
from models.fleet.roster import Agent
from models.fleet.rows import CoalitionRow, CoalitionState, DirectiveRow, MemberRow, TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fleet.team import Capabilities

MEMORY = 600_000
"""Milliseconds for which a dissolved coalition is remembered, for people."""

Asked = Sequence[tuple[Agent, str | None]]
"""Agents, each with the role that it is to have."""


def form(step: Step, fleet: FleetState, task: TaskRow, asked: Asked, plan_id: str) -> None:
    """Ask agents to do a pending task together; the caller has checked that they can, and are a team."""
    task_class = tasks.leave_queue(step, fleet, task, len(asked))
    coalition_id = step.next_coalition(fleet)
    task.epoch += 1
    task.attempt = 1 + task.attempts
    task.agent_id = None
    task.state = "assigned"
    task.coalition_id = coalition_id
    row = CoalitionRow(
        fleet=fleet.name,
        task_id=task.task_id,
        epoch=task.epoch,
        plan_id=plan_id,
        state="forming",
        members=[],
        formed_at=step.now,
        since=step.now,
        act_by=_act_by(step, fleet),
    )
    step.state.tables.coalitions.put(coalition_id, row)
    step.state.timers.moment(row.act_by, "coalition", coalition_id)
    _ask(step, fleet, task, row, asked)
    impossible.review(step, fleet, task_class)


def repair(step: Step, fleet: FleetState, task: TaskRow, asked: Asked) -> None:
    """Ask agents to take the places that are vacant; the caller has checked that they complete the team."""
    row = _coalition_of(step, task)
    row.repairs += 1
    _become(step, task, row, "repairing")
    _ask(step, fleet, task, row, asked)


def accepted(step: Step, fleet: FleetState, directive: DirectiveRow) -> None:
    """A member has accepted its join, or its part."""
    task, row, member = _about(step, fleet, directive)
    if member.state == "asked":
        member.state = "joined"
        _settle(step, fleet, task, row)


def completed(step: Step, fleet: FleetState, directive: DirectiveRow, result: object) -> None:
    """A member has done its part; its directive has ended."""
    task, row, member = _about(step, fleet, directive)
    member.state = "completed"
    member.directive_id = None
    member.result = encode(result)
    _settle(step, fleet, task, row)


def failed(step: Step, fleet: FleetState, directive: DirectiveRow, reason: str) -> None:
    """A member could not do its part, so that the others' are in vain; its directive has ended."""
    task, _, member = _about(step, fleet, directive)
    member.directive_id = None
    dissolve(step, fleet, task, reason)
    tasks.take_back(step, fleet, task, reason, "attempt", agent_id=member.agent_id, backoff=True)


def left(step: Step, fleet: FleetState, directive: DirectiveRow, reason: str, counts: tasks.Counts) -> None:
    """A member is one no more: it refused, did not answer or was lost. Its directive has ended."""
    task, row, member = _about(step, fleet, directive)
    row.members.remove(member)
    failure = tasks.charge(step, fleet, task, reason, counts, member.agent_id)
    if failure is not None:
        dissolve(step, fleet, task, failure)
        tasks.finish(step, fleet, task, "failed", failure)
        return
    if row.started:
        details = {"agent_id": member.agent_id, "role": member.role, "coalition_id": task.coalition_id}
        step.alert_seldom(fleet, "coalition_degraded", task.task_id, reason, details)
    _settle(step, fleet, task, row)


def given_up(step: Step, coalition_id: str, due: int) -> None:
    """The time is over in which it should have had all its members at work."""
    row = step.state.tables.coalitions.get(coalition_id)
    if row is None or row.act_by != due or row.state in ("active", "dissolved"):
        return
    fleet = step.state.fleets[row.fleet]
    task = step.state.tables.tasks.rows[fleet.key(row.task_id)]
    reason = "coalition_incomplete"
    step.alert_seldom(fleet, reason, task.task_id, row.state, {"members": len(row.members)})
    dissolve(step, fleet, task, reason)
    # Whose work is in vain shows in the attempts already, by the loss that made it so.
    tasks.take_back(step, fleet, task, reason, "nothing", backoff=True)


def dissolve(step: Step, fleet: FleetState, task: TaskRow, reason: str) -> None:
    """Dismiss the members of the task's coalition. What becomes of the task is the caller's to say."""
    row = _coalition_of(step, task)
    coalition_id = task.coalition_id or ""
    for member in row.members:
        if member.directive_id is not None:
            ledger.withdraw(step, fleet, member.directive_id)
            member.directive_id = None
    row.reason = reason
    row.act_by = 0
    row.forget_at = step.now + MEMORY
    _become(step, task, row, "dissolved")
    step.state.timers.moment(row.forget_at, "coalition", coalition_id)
    task.coalition_id = None


def forget(step: Step, coalition_id: str, due: int) -> None:
    row = step.state.tables.coalitions.get(coalition_id)
    if row is not None and row.forget_at == due:
        step.state.tables.coalitions.delete(coalition_id)


def members_of(row: CoalitionRow) -> list[tuple[Capabilities, str | None]]:
    """What each member is there for: capabilities to cover, or a role."""
    return [(frozenset(member.covers), member.role) for member in row.members]


def _ask(step: Step, fleet: FleetState, task: TaskRow, row: CoalitionRow, asked: Asked) -> None:
    team = task.team
    assert team is not None
    new = [
        MemberRow(agent.id, role, "asked", None, sorted(team.useful(agent.shape.capabilities)))
        for agent, role in asked
    ]
    row.members += new
    seen = _seen(task, row)
    for member in new:
        ledger.join(step, fleet, task, seen, member)
    _touch(step, task)


def _settle(step: Step, fleet: FleetState, task: TaskRow, row: CoalitionRow) -> None:
    """What the coalition is now that one of its members has changed, or left."""
    assert task.team is not None
    states = {member.state for member in row.members}
    if task.team.missing(members_of(row)) is not None:
        if row.state == "active":
            row.act_by = _act_by(step, fleet)
            step.state.timers.moment(row.act_by, "coalition", task.coalition_id or "")
        _become(step, task, row, "degraded")
    elif "asked" in states:
        _become(step, task, row, "repairing" if row.repairs else "forming")
    elif states == {"completed"}:
        results = {member.agent_id: orjson.Fragment(member.result) for member in row.members}
        dissolve(step, fleet, task, "completed")
        tasks.finish(step, fleet, task, "completed", None, results)
    else:
        _engage(step, fleet, task, row)


def _engage(step: Step, fleet: FleetState, task: TaskRow, row: CoalitionRow) -> None:
    """All are there: whoever has not begun gets its part of the task."""
    seen = _seen(task, row)
    for member in row.members:
        if member.state == "joined":
            member.state = "working"
            ledger.engage(step, fleet, task, seen, member)
    row.act_by = 0
    row.started = True
    _become(step, task, row, "active")
    if task.state != "running":
        tasks.start(step, fleet, task)


def _become(step: Step, task: TaskRow, row: CoalitionRow, state: CoalitionState) -> None:
    if row.state != state:
        row.state = state
        row.since = step.now
        degraded = step.state.fleets[row.fleet].degraded
        degraded.pop(task.coalition_id or "", None)
        if state == "degraded":
            degraded[task.coalition_id or ""] = task.task_id
    _touch(step, task)


def _touch(step: Step, task: TaskRow) -> None:
    step.state.tables.coalitions.touch(task.coalition_id or "")


def _act_by(step: Step, fleet: FleetState) -> int:
    return max(step.now, step.state.clock.fleet_time) + fleet.policy.planning.reservation


def _seen(task: TaskRow, row: CoalitionRow) -> ledger.Coalition:
    return ledger.Coalition(
        task.coalition_id or "", row.plan_id, tuple(member.agent_id for member in row.members)
    )


def _coalition_of(step: Step, task: TaskRow) -> CoalitionRow:
    assert task.coalition_id is not None
    return step.state.tables.coalitions.rows[task.coalition_id]


def _about(step: Step, fleet: FleetState, directive: DirectiveRow) -> tuple[TaskRow, CoalitionRow, MemberRow]:
    task = step.state.task_of(fleet, directive)
    row = _coalition_of(step, task)
    return task, row, next(one for one in row.members if one.agent_id == directive.agent_id)
