"""Read-only views of the fleet fold for people: agents, tasks, directives, a summary; as plain JSON values.

They read the live state and must run between batches. Amounts and times are as on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from models.events import Status
from models.fields import seconds
from models.fleet.feasibility import unavailable
from models.fleet.fold import FleetFold
from models.fleet.roster import Agent
from models.fleet.rows import (
    MICRO,
    CoalitionRow,
    CoalitionState,
    DirectiveRow,
    EndedTaskRow,
    EndState,
    TaskRow,
    TaskState,
)

TASK_STATES: tuple[str, ...] = (*get_args(TaskState), *get_args(EndState))
AGENT_STATES: tuple[str, ...] = (
    *get_args(Status),
    "drained",
    "cordoned",
    "tripped",
    "probation",
    "throttled",
    "loaded",
    "suspected",
    "lost",
    "deregistered",
)
"""Several may hold at once: see :func:`agent_states`."""
_BREAKER_FLAGS = {"tripped": "open", "probation": "half_open"}
_BOUNDS = ("throttled", "loaded")
COALITION_STATES: tuple[str, ...] = get_args(CoalitionState)


def agents(fold: FleetFold, fleet_name: str) -> Iterator[dict[str, object]]:
    """All agents of a fleet by id, deregistered ones too."""
    fleet = fold.state.fleets.get(fleet_name)
    if fleet is None:
        return
    for agent_id in sorted(fleet.agents):
        yield _agent(fleet.agents[agent_id])


def agent(fold: FleetFold, fleet_name: str, agent_id: str) -> dict[str, object] | None:
    fleet = fold.state.fleets.get(fleet_name)
    found = fleet.agents.get(agent_id) if fleet else None
    return None if found is None else _agent(found)


def agent_states(agent: Mapping[str, Any]) -> list[str]:
    """The states of an agent as :func:`agents` shows it, the gravest first: what was found out about it, then how
    much it has to do."""
    flags = [flag for flag in ("drained", "cordoned") if agent.get(flag)]
    flags += [flag for flag, state in _BREAKER_FLAGS.items() if agent.get("breaker") == state]
    flags += [flag for flag in _BOUNDS if flag in agent.get("bounds", {})]
    # What an agent said of itself before it fell silent is no news.
    return [str(agent["liveness"]), *flags] if agent["liveness"] != "alive" else [*flags, _work(agent)]


def _work(agent: Mapping[str, Any]) -> str:
    """How much it has to do by the ledger, its own word being a beat old; what only it can know, by its word."""
    status = str(agent["status"])
    if status not in ("active", "idle", "busy"):
        return status
    return "idle" if not agent["held"] else "busy" if agent["held"] >= agent["usable"] else "active"


def tasks(
    fold: FleetFold, fleet_name: str, *, state: str | None = None, ended: bool = True
) -> Iterator[dict[str, object]]:
    """Tasks in the order of submission, then ended ones in the order of their end.

    Args:
        state: Only tasks in this state.
        ended: Whether to list what is remembered of ended tasks.
    """
    for row in fold.state.tables.tasks.rows.values():
        if row.fleet == fleet_name and state in (None, row.state):
            yield _task(row)
    if not ended:
        return
    prefix = f"{fleet_name}/"
    for key, past in fold.state.tables.ended_tasks.items():
        if key.startswith(prefix) and state in (None, past.state):
            yield _ended_task(fleet_name, key.removeprefix(prefix), past)


def task(fold: FleetFold, fleet_name: str, task_id: str) -> dict[str, object] | None:
    """One task, live or remembered."""
    key = f"{fleet_name}/{task_id}"
    row = fold.state.tables.tasks.get(key)
    if row is not None:
        return _task(row)
    past = fold.state.tables.ended_tasks.get(key)
    return None if past is None else _ended_task(fleet_name, task_id, past)


def coalitions(fold: FleetFold, fleet_name: str, *, state: str | None = None) -> Iterator[dict[str, object]]:
    """Coalitions in the order in which they were formed, those that were dissolved a moment ago too.

    Args:
        state: Only coalitions in this state.
    """
    for coalition_id, row in fold.state.tables.coalitions.rows.items():
        if row.fleet == fleet_name and state in (None, row.state):
            yield _coalition(coalition_id, row)


def coalition(fold: FleetFold, fleet_name: str, coalition_id: str) -> dict[str, object] | None:
    row = fold.state.tables.coalitions.get(coalition_id)
    return None if row is None or row.fleet != fleet_name else _coalition(coalition_id, row)


def directives(fold: FleetFold, fleet_name: str) -> Iterator[dict[str, object]]:
    """Live directives in the order of issue."""
    live = fold.state.tables.directives.rows.items()
    rows = [(row.offset, row.index, key, row) for key, row in live if row.fleet == fleet_name]
    for _, _, directive_id, row in sorted(rows, key=lambda entry: entry[:2]):
        yield _directive(directive_id, row)


def summary(fold: FleetFold, fleet_name: str) -> dict[str, object]:
    """What a person wants to see first; all zeros for a fleet that nobody has used."""
    fleet = fold.state.fleets.get(fleet_name)
    states = {"pending": 0, "assigned": 0, "running": 0}
    agents_by_state: dict[str, int] = {}
    slots = held = impossible = 0
    row = None
    if fleet is not None:
        row = fleet.row
        for member in fleet.agents.values():
            if member.registered:
                state = unavailable(member) or "available"
                agents_by_state[state] = agents_by_state.get(state, 0) + 1
                slots += member.row.slots
                held += member.held_slots
        impossible = sum(len(c.queue) for c in fleet.classes.values() if c.impossible)
    for task in fold.state.tables.tasks.rows.values():
        if task.fleet == fleet_name:
            states[task.state] += 1
    clock = fold.state.clock
    return {
        "fleet": fleet_name,
        "as_of": {"offset": clock.offset, "time": seconds(clock.log_time)},
        "fleet_time": seconds(clock.fleet_time) if clock.fleet_time >= 0 else None,
        "agents": {
            "registered": fleet.registered if fleet else 0,
            **{name: agents_by_state[name] for name in sorted(agents_by_state)},
        },
        "slots": {"total": slots, "held": held},
        "tasks": {
            **states,
            "impossible": impossible,
            "submitted": row.submitted if row else 0,
            "completed": row.completed if row else 0,
            "failed": row.failed if row else 0,
            "cancelled": row.cancelled if row else 0,
        },
        "assignments": row.assigned if row else 0,
        "wait_mean": row.waited / row.assigned / 1000 if row and row.assigned else 0.0,
        "policy_version": fleet.policy.version if fleet else 0,
    }


def accounting(fold: FleetFold) -> dict[str, object]:
    """The partition's books: outcomes sum to the records read."""
    clock = fold.state.clock
    return {
        "records": clock.records,
        "outcomes": dict(clock.outcomes),
        "rejections": dict(clock.rejections),
        "refusals": dict(clock.refusals),
        "operations": dict(clock.operations),
    }


def _agent(agent: Agent) -> dict[str, object]:
    row = agent.row
    return {
        "agent_id": row.agent_id,
        "fleet": row.fleet,
        "status": row.status,
        "liveness": row.liveness,
        "unavailable": unavailable(agent),
        "breaker": agent.breaker,
        "cordoned": row.cordoned,
        "drained": row.drained,
        "drain_by": seconds(row.drain_by) if row.drain_by else None,
        "capabilities": row.capabilities,
        "slots": row.slots,
        "usable": agent.credits,
        "bounds": {reason: bound for bound, reason in agent.bounds()},
        "held": agent.held_slots,
        "resources": {
            name: {
                "capacity": capacity / MICRO,
                "held": agent.held_resources.get(name, 0) / MICRO,
            }
            for name, capacity in row.resources.items()
        },
        "labels": row.labels,
        "only": {"capabilities": row.only_capabilities, "tenants": row.only_tenants},
        "zone": row.zone,
        "version": row.version,
        "current_load": row.current_load,
        "speed": round(row.speed, 3),
        "incarnation": row.incarnation,
        "directives": [directive_id for directive_id, _ in agent.in_order()],
        "changed_at": seconds(row.changed_at),
    }


def _task(row: TaskRow) -> dict[str, object]:
    return {
        "task_id": row.task_id,
        "fleet": row.fleet,
        "state": row.state,
        "reason": row.last_reason,
        "epoch": row.epoch,
        "attempt": row.attempt,
        "attempts": row.attempts,
        "deliveries": row.deliveries,
        "agent_id": None if row.state == "pending" else row.agent_id,
        "directive_id": row.directive_id,
        "coalition_id": row.coalition_id,
        "tenant": row.tenant,
        "priority": row.priority,
        "submitted_at": seconds(row.submitted_at),
        "deadline": None if row.deadline is None else seconds(row.deadline),
    }


def _ended_task(fleet_name: str, task_id: str, row: EndedTaskRow) -> dict[str, object]:
    return {
        "task_id": task_id,
        "fleet": fleet_name,
        "state": row.state,
        "reason": row.reason,
        "epoch": row.epoch,
        "attempt": row.attempt,
        "agent_id": row.agent_id,
        "submitted_at": seconds(row.submitted_at),
        "ended_at": seconds(row.ended_at),
    }


def _coalition(coalition_id: str, row: CoalitionRow) -> dict[str, object]:
    return {
        "coalition_id": coalition_id,
        "fleet": row.fleet,
        "state": row.state,
        "reason": row.reason,
        "task_id": row.task_id,
        "epoch": row.epoch,
        "members": [
            {"agent_id": member.agent_id, "role": member.role, "state": member.state, "covers": member.covers}
            for member in row.members
        ],
        "repairs": row.repairs,
        "formed_at": seconds(row.formed_at),
        "since": seconds(row.since),
        "act_by": seconds(row.act_by) if row.act_by else None,
        "plan_id": row.plan_id,
    }


def _directive(directive_id: str, row: DirectiveRow) -> dict[str, object]:
    return {
        "directive_id": directive_id,
        "fleet": row.fleet,
        "type": row.type,
        "agent_id": row.agent_id,
        "task_id": row.task_id,
        "epoch": row.epoch,
        "attempt": row.attempt,
        "accepted": row.accepted,
        "progress": row.progress,
        "round": row.round,
        "issued_at": seconds(row.issued_at),
        "ack_by": seconds(row.ack_by),
        "expires_at": None if row.expires_at is None else seconds(row.expires_at),
    }
