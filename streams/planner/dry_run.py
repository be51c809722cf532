"""What the next plan would be, and what another policy would make of it; nothing is appended, nothing changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from models.fleet import FleetFold
from models.fleet.explain import explain
from models.fleet.quotas import Holdings, excess
from models.fleet_records import (
    ProposedCoalition,
    ProposedDirective,
    ProposedEntry,
    ProposedMove,
    ProposedPreemption,
)
from models.policy import PlanningPolicy, patched
from streams.planner.base import Planner
from streams.planner.snapshot import FleetSnapshot, snapshot

_OF_OTHERS = ("preempt_task", "move_task")
"""Entries about tasks that do not wait."""
_BEFORE_QUOTA = ("impossible", "preempting")
"""Reasons that are told rather than that a tenant would hold all it may."""
MOST_LOOKS = 200_000
"""Looks at one agent for one class of tasks that finding out their reasons may cost: below half a second."""


def dry_run(
    fold: FleetFold,
    fleet: str,
    planner: Planner,
    budget: int,
    patch: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The next plan of a fleet, as plain JSON values.

    Args:
        fold: Read, and not changed.
        fleet: Which fleet.
        planner: Who plans.
        budget: Work units.
        patch: A policy patch. What the plan would be under it is told as well (``if``), and how the two differ
            (``differs``): tasks that would go elsewhere, or wait. Only the planner follows it: queues are in the
            order of the policy in force.

    Raises:
        InvalidRecord: if the patch is none.
    """
    seen = snapshot(fold, fleet)
    if seen is None:
        return {"fleet": fleet, "entries": [], "placed": 0, "pending": {}}
    answer = _planned(fold, fleet, planner, budget, None)
    if patch is not None:
        other = _planned(fold, fleet, planner, budget, patch)
        answer["if"] = other
        answer["differs"] = _differences(answer["entries"], other["entries"])
    return answer


def _planned(
    fold: FleetFold, fleet: str, planner: Planner, budget: int, patch: Mapping[str, object] | None
) -> dict[str, object]:
    seen = snapshot(fold, fleet)
    assert seen is not None
    policy = seen.policy if patch is None else patched(seen.policy, patch, seen.policy.version + 1)
    plan = planner.plan(seen, policy, budget) or planner.rebalance(seen, policy, budget)
    entries = [] if plan is None else plan.directives
    return {
        "fleet": fleet,
        "based_on": seen.based_on,
        "planner": f"{planner.name}-{planner.version}",
        "policy_version": policy.version,
        "truncated": plan is not None and plan.planner.truncated,
        "objective": None if plan is None else plan.objective,
        "placed": sum(entry.type not in _OF_OTHERS for entry in entries),
        "entries": [_on_wire(entry) for entry in entries],
        "pending": _reasons(fold, fleet, seen, policy.planning, entries),
    }


def _reasons(
    fold: FleetFold,
    fleet: str,
    seen: FleetSnapshot,
    planning: PlanningPolicy,
    entries: Sequence[ProposedEntry],
) -> dict[str, int]:
    """Why tasks that are not taken would wait, and how many: those of a class for the same, or for a retry."""
    taken = {entry.task_id for entry in entries}
    holdings = _held_then(seen, entries)
    reasons: Counter[str] = Counter()
    teams = [c.queue for c in seen.classes if c.team is not None]
    # Whoever is eligible now is so no more when the plan has been applied.
    gone = {"waiting_for_plan"}
    if all(task_id in taken for queue in teams for *_, task_id in queue):
        gone.add("outranked")
    looks = MOST_LOOKS
    for task_class in sorted(seen.classes, key=lambda one: one.id):
        left = [seen.task(task_id) for *_, task_id in task_class.queue if task_id not in taken]
        waiting = [task for task in left if task.retry_at <= seen.now]
        if len(left) > len(waiting):
            reasons["backoff"] += len(left) - len(waiting)
        if not waiting:
            continue
        explanation = explain(fold, fleet, waiting[0].task_id) if looks > 0 else None
        if explanation is None:
            reasons["not_looked_at"] += len(waiting)
            continue
        looks -= seen.registered
        reason = str(explanation["reason"])
        if excess(planning, holdings, task_class) and reason not in _BEFORE_QUOTA:
            reason = "quota"
        reasons["capacity" if reason in gone else reason] += len(waiting)
    return dict(sorted(reasons.items()))


def _held_then(seen: FleetSnapshot, entries: Sequence[ProposedEntry]) -> Holdings:
    """What tenants would hold once the plan has been applied."""
    holdings = seen.holdings.draft()
    for entry in entries:
        task = seen.task(entry.task_id)
        if task.tenant is not None and entry.type not in _OF_OTHERS:
            members = len(entry.members) if isinstance(entry, ProposedCoalition) else 1
            holdings.add(task.tenant, task.slots, task.resources, members)
    return holdings


def _on_wire(entry: ProposedEntry) -> dict[str, object]:
    agents: object
    if isinstance(entry, ProposedDirective | ProposedPreemption | ProposedMove):
        agents = [{"agent_id": entry.agent_id, "role": None}]
    else:
        agents = [{"agent_id": member.agent_id, "role": member.role} for member in entry.members]
    return {"type": entry.type, "task_id": entry.task_id, "epoch": entry.epoch, "agents": agents}


def _differences(ours: object, theirs: object) -> list[dict[str, object]]:
    assert isinstance(ours, list)
    assert isinstance(theirs, list)
    now = {entry["task_id"]: entry["agents"] for entry in ours if entry["type"] not in _OF_OTHERS}
    then = {entry["task_id"]: entry["agents"] for entry in theirs if entry["type"] not in _OF_OTHERS}
    return [
        {"task_id": task_id, "now": now.get(task_id), "if": then.get(task_id)}
        for task_id in dict.fromkeys([*now, *then])
        if now.get(task_id) != then.get(task_id)
    ]
