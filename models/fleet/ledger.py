"""Directives: how they are issued, what credit they hold, and how they end.

The ledger is what the coordinator plans on: an agent's free slots and resources are what it announced minus
what its live directives hold. Why a directive is issued or ends is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson

from models.fields import seconds
from models.fleet.roster import Agent
from models.fleet.rows import DirectiveRow, EndedDirectiveRow, MemberRow, TaskRow
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.outputs import Coalition as OutputCoalition
from models.outputs import Directive, DirectiveType

ANSWER_MEMORY = 3_600_000
"""Milliseconds for which an ended directive is told from one that never was, to late answers: no more than a
precise reason depends on it."""


@dataclass(frozen=True, slots=True)
class Coalition:
    """What directives say of the coalition that they are about."""

    id: str
    plan_id: str
    members: tuple[str, ...]

    def seen_by(self, role: str | None) -> OutputCoalition:
        return OutputCoalition(id=self.id, members=self.members, role=role)


def assign(step: Step, fleet: FleetState, task: TaskRow, agent: Agent, plan_id: str) -> None:
    """Issue an assignment of ``task`` at its next epoch; the caller has checked that it is feasible."""
    task.epoch += 1
    task.attempt = 1 + task.attempts
    task.agent_id = agent.id
    task.state = "assigned"
    task.directive_id = _issue_work(step, fleet, task, agent.id, "assign_task", plan_id)


def join(step: Step, fleet: FleetState, task: TaskRow, coalition: Coalition, member: MemberRow) -> None:
    """Ask an agent into a coalition for ``task``, at its epoch; the caller has checked that it is feasible."""
    member.directive_id = _issue_part(step, fleet, task, coalition, member, "join_coalition")


def engage(step: Step, fleet: FleetState, task: TaskRow, coalition: Coalition, member: MemberRow) -> None:
    """Give a member its part of the task, on the credit of its join, which ends."""
    assert member.directive_id is not None
    end(step, fleet, member.directive_id)
    member.directive_id = _issue_part(step, fleet, task, coalition, member, "assign_task")


_Work: TypeAlias = Literal["join_coalition", "assign_task"]


def _issue_part(
    step: Step, fleet: FleetState, task: TaskRow, coalition: Coalition, member: MemberRow, kind: _Work
) -> str:
    seen = coalition.seen_by(member.role)
    return _issue_work(step, fleet, task, member.agent_id, kind, coalition.plan_id, seen)


def _issue_work(
    step: Step,
    fleet: FleetState,
    task: TaskRow,
    agent_id: str,
    kind: _Work,
    plan_id: str,
    coalition: OutputCoalition | None = None,
) -> str:
    """Issue an assignment of the task at its epoch, or a join, which neither says what is to do nor expires; its
    id."""
    directive_id, index = step.next_directive(fleet)
    working = kind == "assign_task"
    row = DirectiveRow(
        fleet=fleet.name,
        agent_id=agent_id,
        type=kind,
        offset=step.offset,
        index=index,
        issued_at=step.now,
        ack_by=step.now + task.ack_timeout,
        ack_timeout=task.ack_timeout,
        outage=step.state.clock.outage,
        task_id=task.task_id,
        epoch=task.epoch,
        attempt=task.attempt,
        expires_at=step.now + task.run_timeout if working else None,
        slots=task.slots,
        resources=task.resources,
        coalition_id=None if coalition is None else coalition.id,
        role=None if coalition is None else coalition.role,
        group=None if task.spread is None else task.spread.group,
        tenant=task.tenant,
    )
    step.state.add_directive(fleet, directive_id, row)
    directive = Directive(
        directive_id=directive_id,
        type=kind,
        agent_id=agent_id,
        fleet=fleet.name,
        task_id=task.task_id,
        epoch=task.epoch,
        attempt=task.attempt,
        plan_id=plan_id,
        issued_at=row.issued_at,
        ack_by=row.ack_by,
        ack_timeout=row.ack_timeout,
        expires_at=row.expires_at,
        run_timeout=task.run_timeout if working else None,
        payload=orjson.Fragment(task.payload) if working else None,
        coalition=coalition,
        cause=step.cause,
        provenance=step.provenance(fleet),
    )
    step.put_out(kind, directive.output())
    return directive_id


def withdraw(step: Step, fleet: FleetState, directive_id: str) -> str:
    """End a live assignment or join and tell its agent to stop; the withdrawal, whose id is returned, holds the
    credit until it ends."""
    row = step.state.tables.directives.rows[directive_id]
    end(step, fleet, directive_id)
    kind: DirectiveType = "withdraw_task" if row.coalition_id is None else "leave_coalition"
    withdrawal = _control_row(step, fleet, row.agent_id, kind, row.ack_timeout, about=row)
    withdrawal.slots = row.slots
    withdrawal.resources = row.resources
    withdrawal.group = row.group
    withdrawal.tenant = row.tenant
    return _issue_control(step, fleet, withdrawal)


def command(
    step: Step, fleet: FleetState, agent: Agent, kind: DirectiveType, deadline: int | None = None
) -> None:
    """Tell the agent to ``drain`` or to ``resume``, in place of what it was told of this before."""
    order = _order(step, fleet, agent, kind)
    order.deadline = deadline
    _issue_control(step, fleet, order)


def throttle(step: Step, fleet: FleetState, agent: Agent, use: int | None) -> None:
    """Tell the agent how many slots to use, in place of what it was told before; ``None`` for all."""
    order = _order(step, fleet, agent, "throttle")
    order.use = use
    _issue_control(step, fleet, order)


def _order(step: Step, fleet: FleetState, agent: Agent, kind: DirectiveType) -> DirectiveRow:
    """A control directive about the agent itself; earlier ones about the same end."""
    for directive_id, row in agent.in_order():
        if row.task_id is None and (row.type == "throttle") == (kind == "throttle"):
            end(step, fleet, directive_id)
    return _control_row(step, fleet, agent.id, kind, fleet.policy.control_ack_timeout)


def repeat(step: Step, fleet: FleetState, directive_id: str) -> None:
    """An unanswered control directive ends, and its credit is free; a new one repeats it, if not too often."""
    row = step.state.tables.directives.rows[directive_id]
    end(step, fleet, directive_id)
    if row.round >= fleet.policy.control_attempts:
        details = {"directive_id": directive_id, "task_id": row.task_id, "attempts": row.round}
        step.alert(fleet.name, "control_unanswered", row.agent_id, row.type, details)
        return
    again = _control_row(step, fleet, row.agent_id, row.type, row.ack_timeout, about=row)
    again.round = row.round + 1
    again.deadline = row.deadline
    again.use = row.use
    _issue_control(step, fleet, again)


def end(step: Step, fleet: FleetState, directive_id: str, answer: str | None = None) -> None:
    """The directive is live no more: its credit is free, and no answer to it counts.

    Args:
        answer: The outcome that the agent answered, if that is what ended it.
    """
    tables = step.state.tables
    row = tables.directives.rows[directive_id]
    step.state.remove_directive(fleet, directive_id, row)
    forget_at = step.now + ANSWER_MEMORY
    tables.ended_directives.put(
        directive_id, EndedDirectiveRow(fleet.name, row.agent_id, row.epoch, forget_at, answer)
    )
    step.state.timers.moment(forget_at, "directive", directive_id)


def _control_row(
    step: Step,
    fleet: FleetState,
    agent_id: str,
    kind: DirectiveType,
    ack_timeout: int,
    about: DirectiveRow | None = None,
) -> DirectiveRow:
    """A control directive as of now, without credit; about the same assignment as ``about``, if given."""
    return DirectiveRow(
        fleet=fleet.name,
        agent_id=agent_id,
        type=kind,
        offset=step.offset,
        index=0,
        issued_at=step.now,
        ack_by=step.now + ack_timeout,
        ack_timeout=ack_timeout,
        outage=step.state.clock.outage,
        task_id=about.task_id if about else None,
        epoch=about.epoch if about else None,
        attempt=about.attempt if about else None,
        coalition_id=about.coalition_id if about else None,
        role=about.role if about else None,
    )


def _issue_control(step: Step, fleet: FleetState, row: DirectiveRow) -> str:
    directive_id, row.index = step.next_directive(fleet)
    step.state.add_directive(fleet, directive_id, row)
    directive = Directive(
        directive_id=directive_id,
        type=row.type,
        agent_id=row.agent_id,
        fleet=fleet.name,
        task_id=row.task_id,
        epoch=row.epoch,
        attempt=row.attempt,
        issued_at=row.issued_at,
        ack_by=row.ack_by,
        ack_timeout=row.ack_timeout,
        payload=_payload_of(row),
        coalition=_coalition_of(step, row),
        cause=step.cause,
        provenance=step.provenance(fleet),
    )
    step.put_out(row.type, directive.output())
    return directive_id


def _payload_of(row: DirectiveRow) -> object:
    """What a control directive says beside its type."""
    if row.use is not None:
        return {"slots": row.use}
    return None if row.deadline is None else {"deadline": seconds(row.deadline)}


def _coalition_of(step: Step, row: DirectiveRow) -> OutputCoalition | None:
    if row.coalition_id is None:
        return None
    known = step.state.tables.coalitions.get(row.coalition_id)
    members = () if known is None else tuple(member.agent_id for member in known.members)
    return OutputCoalition(id=row.coalition_id, members=members, role=row.role)
