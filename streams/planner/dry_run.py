"""What the next plan would be, and what another policy would make of it; nothing is appended, nothing changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from models.fleet import FleetFold
from models.fleet.explain import explain
from models.fleet_records import ProposedDirective, ProposedEntry
from models.policy import patched
from streams.planner.base import Planner
from streams.planner.snapshot import snapshot

MOST_EXPLAINED = 1_000
"""Tasks that stay pending whose reasons are told, at most: each costs a look at every agent."""


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
    plan = planner.plan(seen, policy, budget)
    entries = [] if plan is None else plan.directives
    taken = {entry.task_id for entry in entries}
    reasons: Counter[str] = Counter()
    for task_class in seen.classes:
        for *_, task_id in task_class.queue:
            if task_id in taken:
                continue
            if reasons.total() >= MOST_EXPLAINED:
                reasons["not_looked_at"] += 1
                continue
            explanation = explain(fold, fleet, task_id)
            assert explanation is not None
            reason = str(explanation["reason"])
            # Whoever is eligible now is so no more when the plan has been applied.
            reasons["capacity" if reason == "waiting_for_plan" else reason] += 1
    return {
        "fleet": fleet,
        "based_on": seen.based_on,
        "planner": f"{planner.name}-{planner.version}",
        "policy_version": policy.version,
        "truncated": plan is not None and plan.planner.truncated,
        "objective": None if plan is None else plan.objective,
        "placed": len(entries),
        "entries": [_on_wire(entry) for entry in entries],
        "pending": dict(sorted(reasons.items())),
    }


def _on_wire(entry: ProposedEntry) -> dict[str, object]:
    agents: object
    if isinstance(entry, ProposedDirective):
        agents = [{"agent_id": entry.agent_id, "role": None}]
    else:
        agents = [{"agent_id": member.agent_id, "role": member.role} for member in entry.members]
    return {"type": entry.type, "task_id": entry.task_id, "epoch": entry.epoch, "agents": agents}


def _differences(ours: object, theirs: object) -> list[dict[str, object]]:
    assert isinstance(ours, list)
    assert isinstance(theirs, list)
    now = {entry["task_id"]: entry["agents"] for entry in ours}
    then = {entry["task_id"]: entry["agents"] for entry in theirs}
    return [
        {"task_id": task_id, "now": now.get(task_id), "if": then.get(task_id)}
        for task_id in dict.fromkeys([*now, *then])
        if now.get(task_id) != then.get(task_id)
    ]
