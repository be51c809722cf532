"""Why a task, an agent or a coalition is where it is, on demand, from the state as it stands.

The counts come from the one feasibility function and sum to the number of registered agents.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from heapq import nsmallest
from itertools import chain

import orjson

from models.fields import seconds
from models.fleet import breaker, coalitions
from models.fleet.backlog import Survey, rank
from models.fleet.costs import cost_of
from models.fleet.feasibility import MEANING, REASONS, Reason, feasibility, never, not_now, unavailable
from models.fleet.fold import FleetFold
from models.fleet.quotas import excess
from models.fleet.roster import Agent
from models.fleet.rows import MICRO, EndedTaskRow, TaskRow
from models.fleet.state import FleetState

_ALTERNATIVES = 3
_BUSY: frozenset[Reason] = frozenset({"no_credit", "probation", "throttled", "loaded", "resource_held"})


def explain(fold: FleetFold, fleet_name: str, task_id: str) -> dict[str, object] | None:
    """The explanation of one task as plain JSON values; ``None`` if the fold knows no such task.

    ``reason`` of a pending task is one of ``impossible`` (no registered agent could ever hold it, or no coalition
    of them), ``backoff`` (it failed and waits before its next attempt), ``preempting`` (another task gives way to
    it), ``quota`` (its tenant holds as much as it may), ``waiting_for_plan`` (somebody is eligible), ``outranked``
    (likewise, but kept free for a more urgent coalition, it may be), ``spread`` (whoever has room for it is where
    enough tasks of its group are), ``capacity`` (all who could take it are full), ``cooling_down`` (all who could
    take it refused it a moment ago), ``coalition`` (those who could take it now are no complete coalition),
    ``unavailable`` (all who could hold it are away or get no new work).
    """
    fleet = fold.state.fleets.get(fleet_name)
    if fleet is None:
        return None
    task = fold.state.tables.tasks.get(fleet.key(task_id))
    if task is not None:
        return _explain_live(fold, fleet, task)
    ended = fold.state.tables.ended_tasks.get(fleet.key(task_id))
    if ended is not None:
        return _explain_ended(fold, fleet, task_id, ended)
    return None


def explain_agent(fold: FleetFold, fleet_name: str, agent_id: str) -> dict[str, object] | None:
    """Why an agent gets the work that it gets, as plain JSON values; ``None`` if the fold knows no such agent.

    ``reason`` is what keeps all work from it, else ``full`` or ``available``. ``counts`` tells of the pending
    tasks what keeps them from it, by kinds of tasks, and sums to ``pending``: that a task has cooled down, or
    waits for its next attempt, is the task's own affair.
    """
    fleet = fold.state.fleets.get(fleet_name)
    agent = None if fleet is None else fleet.agents.get(agent_id)
    if fleet is None or agent is None:
        return None
    now = fold.state.clock.log_time
    away = "deregistered" if not agent.registered else unavailable(agent)
    counts: dict[Reason, int] = {}
    for task_class in fleet.classes.values():
        if task_class.queue:
            reason = never(task_class, agent.shape) or not_now(task_class, agent, 0, now) or "eligible"
            counts[reason] = counts.get(reason, 0) + len(task_class.queue)
    full = agent.held_slots >= agent.credits
    return {
        "agent_id": agent_id,
        "fleet": fleet_name,
        "state": agent.row.liveness,
        "reason": away or ("full" if full else "available"),
        "as_of": _as_of(fold),
        "pending": fleet.pending,
        "counts": {str(reason): counts[reason] for reason in REASONS if reason in counts},
        "slots": {
            "total": agent.shape.slots,
            "usable": agent.credits,
            "held": agent.held_slots,
            "bounds": {reason: bound for bound, reason in agent.bounds()},
        },
        "breaker": _breaker(agent, fleet, fold.state.clock.log_time),
        "load": {
            "reported": agent.row.current_load,
            "background": round(agent.row.background, 3) if agent.row.taken else 0.0,
            "taken": agent.row.taken,
        },
        "speed": round(agent.row.speed, 3),
        "directives": [
            {
                "directive_id": directive_id,
                "type": row.type,
                "task_id": row.task_id,
                "accepted": row.accepted,
                "holds": row.slots,
            }
            for directive_id, row in agent.in_order()
        ],
    }


def _breaker(agent: Agent, fleet: FleetState, now: int) -> dict[str, object]:
    row = agent.row
    flaps = breaker.flaps_of(row, now, fleet.policy.breaker.flap_memory)
    return {
        "state": agent.breaker,
        "failed": row.failed,
        "until": seconds(row.tripped_until) if row.tripped_until else None,
        "openings": row.trips,
        "flaps": flaps / 1000,
    }


def explain_coalition(fold: FleetFold, fleet_name: str, coalition_id: str) -> dict[str, object] | None:
    """What a coalition waits for, as plain JSON values; ``None`` if the fold knows no such coalition.

    ``reason`` is why it was dissolved, or its state; ``missing`` are roles with counts or capabilities, and
    ``counts`` what keeps each registered agent from taking a place: somebody who is in it already is a ``member``.
    """
    fleet = fold.state.fleets.get(fleet_name)
    row = fold.state.tables.coalitions.get(coalition_id)
    if fleet is None or row is None or row.fleet != fleet_name:
        return None
    explanation: dict[str, object] = {
        "coalition_id": coalition_id,
        "fleet": fleet_name,
        "state": row.state,
        "reason": row.reason or row.state,
        "as_of": _as_of(fold),
        "task_id": row.task_id,
        "epoch": row.epoch,
        "members": [
            {"agent_id": member.agent_id, "role": member.role, "state": member.state}
            for member in row.members
        ],
        "repairs": row.repairs,
        "formed_at": seconds(row.formed_at),
        "act_by": seconds(row.act_by) if row.act_by else None,
    }
    task = fold.state.tables.tasks.get(fleet.key(row.task_id))
    if task is None or task.team is None or row.state == "dissolved":
        return explanation
    missing = task.team.missing(coalitions.members_of(row))
    if missing is not None:
        explanation["missing"] = (
            {part.role: part.count for part in missing.parts} if missing.parts else sorted(missing.cover)
        )
    members = [member.agent_id for member in row.members]
    now = fold.state.clock.log_time
    skipped = task.skipped(now)
    counts: dict[str, int] = {}
    for shape in fleet.shapes.values():
        useful = missing is None or missing.admits(shape.capabilities)
        unfit = never(task, shape) if useful else "capability"
        groups = shape.standings.values()
        apart = [{unfit: shape.agents}] if unfit else [_apart(task, group, skipped, now) for group in groups]
        for reason, agents in chain.from_iterable(found.items() for found in apart):
            inside = sum(agent_id in agents for agent_id in members)
            for word, count in (("member", inside), (str(reason), len(agents) - inside)):
                if count:
                    counts[word] = counts.get(word, 0) + count
    explanation["agents"] = fleet.registered
    explanation["counts"] = {word: counts[word] for word in ("member", *map(str, REASONS)) if word in counts}
    return explanation


def _explain_live(fold: FleetFold, fleet: FleetState, task: TaskRow) -> dict[str, object]:
    now = fold.state.clock.log_time
    counts, nearest = _surveyed(fold, fleet, task, now)
    reason = _pending_reason(fold, fleet, task, counts, now) if task.state == "pending" else task.state
    explanation: dict[str, object] = {
        **_head(fold, fleet, task.task_id, task.state, reason),
        "agents": fleet.registered,
        "counts": counts,
        "nearest": nearest,
        "requires": {
            "capabilities": task.capabilities,
            "resources": {name: amount / MICRO for name, amount in task.resources.items()},
            "labels": task.labels,
            "slots": task.slots,
        },
        "priority": task.priority,
        "submitted_at": seconds(task.submitted_at),
        "deadline": None if task.deadline is None else seconds(task.deadline),
        "epoch": task.epoch,
        "attempts": task.attempts,
        "max_attempts": task.max_attempts,
        "deliveries": task.deliveries,
        "last_reason": task.last_reason,
        "spread": None if task.spread is None else task.spread.on_wire(),
        "coalition": None if task.coalition is None else orjson.loads(task.coalition),
        "coalition_id": task.coalition_id,
        "agent_id": None if task.state == "pending" else task.agent_id,
        "directive_id": task.directive_id,
    }
    if task.directive_id is not None:
        explanation["placement"] = _placement(fleet, task, now)
    if task.state == "pending":
        queue = fleet.classes[task.class_id].queue
        explanation["pending_since"] = seconds(task.pending_since)
        explanation["class"] = task.class_id
        explanation["ahead_in_class"] = bisect_left(queue, rank(task))
        over = excess(fleet.policy.planning, fleet.holdings, task)
        if over is not None:
            explanation["quota"] = {
                "tenant": task.tenant,
                "resource": over.resource,
                "limit": over.limit / MICRO,
                "held": over.held / MICRO,
                "wanted": over.wanted / MICRO,
            }
        explanation["retry_at"] = seconds(task.retry_at) if task.retry_at > now else None
    return explanation


def _explain_ended(
    fold: FleetFold, fleet: FleetState, task_id: str, ended: EndedTaskRow
) -> dict[str, object]:
    return {
        **_head(fold, fleet, task_id, ended.state, ended.reason or ended.state),
        "agents": fleet.registered,
        "counts": {"ended": fleet.registered} if fleet.registered else {},
        "ended_at": seconds(ended.ended_at),
        "epoch": ended.epoch,
        "attempt": ended.attempt,
        "agent_id": ended.agent_id,
    }


def _head(fold: FleetFold, fleet: FleetState, task_id: str, state: str, reason: str) -> dict[str, object]:
    return {
        "task_id": task_id,
        "fleet": fleet.name,
        "state": state,
        "reason": reason,
        "as_of": _as_of(fold),
    }


def _as_of(fold: FleetFold) -> dict[str, object]:
    return {"offset": fold.state.clock.offset, "time": seconds(fold.state.clock.log_time)}


def _placement(fleet: FleetState, task: TaskRow, now: int) -> dict[str, object]:
    """What its place costs by the objective, and the cheapest others that it could have now.

    As of now: what was known when it was placed stands in the log, at the plan that its directive names.
    """
    agent = fleet.agents[task.agent_id or ""]
    weights = fleet.policy.planning.objective
    here = cost_of(task, agent, weights, agent.held_slots - task.slots)
    others = [
        (cost_of(task, other, weights, other.held_slots), other.id)
        for shape in fleet.classes[task.class_id].capable.values()
        for group in shape.standings.values()
        for other in _apart(task, group, (), now).get("eligible", {}).values()
        if other is not agent
    ]
    cheapest = nsmallest(_ALTERNATIVES, others, key=lambda pair: (pair[0].total, pair[1]))
    return {
        "agent_id": agent.id,
        **here.on_wire(),
        "alternatives": [{"agent_id": agent_id, **cost.on_wire()} for cost, agent_id in cheapest],
        "eligible": len(others),
        "cheaper": sum(cost.total < here.total for cost, _ in others),
    }


def _surveyed(fold: FleetFold, fleet: FleetState, task: TaskRow, now: int) -> Survey:
    """As :func:`survey`; at one offset it is the same for all tasks of a class that nobody refused."""
    if task.skipped(now) or (task.spread is not None and task.directive_id):
        return survey(fleet, task, now)
    task_class = fleet.classes[task.class_id]
    offset = fold.state.clock.offset
    if task_class.surveyed is None or task_class.surveyed[0] != offset:
        task_class.surveyed = offset, survey(fleet, task, now)
    counts, nearest = task_class.surveyed[1]
    return dict(counts), nearest


def survey(fleet: FleetState, task: TaskRow, now: int) -> Survey:
    """How many registered agents each reason keeps from the task, and one of those that are nearest to take it.

    Agents of one shape and standing are looked at once for all, so that it costs no more in a large fleet.
    """
    task_class = fleet.classes[task.class_id]
    skipped = task.skipped(now)
    counts: dict[Reason, int] = {}
    groups: dict[Reason, list[dict[str, Agent]]] = {}
    for unfit, shapes in task_class.unfit(fleet.shapes).items():
        counts[unfit] = sum(len(shape.agents) for shape in shapes)
        groups[unfit] = [shape.agents for shape in shapes]
    for shape in task_class.capable.values():
        for group in shape.standings.values():
            for reason, agents in _apart(task, group, skipped, now).items():
                counts[reason] = counts.get(reason, 0) + len(agents)
                groups.setdefault(reason, []).append(agents)
    ordered = {reason: counts[reason] for reason in REASONS if reason in counts}
    if not ordered:
        return {}, None
    best = next(reason for reason in reversed(REASONS) if reason in counts)
    nearest = next(iter(groups[best][0]))
    found = {"agent_id": nearest, "reason": best, "meaning": MEANING[best]}
    return {str(reason): count for reason, count in ordered.items()}, found


def _apart(
    task: TaskRow, group: dict[str, Agent], skipped: Collection[str], now: int
) -> dict[Reason, dict[str, Agent]]:
    """Agents of one shape and standing, by what keeps them from the task."""
    first = next(iter(group.values()))
    apart_by_place = task.spread is not None and task.spread.most is not None
    alike = not (task.resources and first.held_resources) and not apart_by_place
    if alike and not any(agent_id in group for agent_id in skipped):
        return {not_now(task, first, 0, now) or "eligible": group}
    apart: dict[Reason, dict[str, Agent]] = {}
    for agent in group.values():
        apart.setdefault(feasibility(task, agent, now), {})[agent.id] = agent
    return apart


def _pending_reason(
    fold: FleetFold, fleet: FleetState, task: TaskRow, counts: dict[str, int], now: int
) -> str:
    """The one word for why a pending task waits; what must change first comes first."""
    if fleet.classes[task.class_id].impossible:
        return "impossible"
    if task.retry_at > now:
        return "backoff"
    if fold.state.has_claim(task):
        return "preempting"
    if excess(fleet.policy.planning, fleet.holdings, task):
        return "quota"
    if "eligible" in counts and _is_team(fleet, task, now):
        return "outranked" if _is_outranked(fleet, task) else "waiting_for_plan"
    if "spread" in counts:
        return "spread"
    if any(reason in _BUSY for reason in counts):
        return "capacity"
    if "cooling_down" in counts:
        return "cooling_down"
    return "coalition" if "eligible" in counts else "unavailable"


def _is_outranked(fleet: FleetState, task: TaskRow) -> bool:
    """Whether a more urgent coalition waits, for which agents may be kept free."""
    urgency = rank(task)[0]
    return any(
        task_class.team is not None and task_class.queue[0][0] < urgency and not task_class.impossible
        for task_class in fleet.classes.values()
        if task_class.queue
    )


def _is_team(fleet: FleetState, task: TaskRow, now: int) -> bool:
    """Whether those who could take the task now might do it together, if that is what it asks."""
    able = (agent for agent in fleet.open.values() if feasibility(task, agent, now) == "eligible")
    return task.team is None or task.team.possible((agent.shape.capabilities, 1) for agent in able)
