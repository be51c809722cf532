"""What a plan costs by anybody's weights: the published objective, for plans of others or for other weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.fleet.costs import cost_of
from models.fleet.roster import Agent
from models.fleet_records import ProposedCoalition, ProposedDirective, ProposedEntry
from models.objective import Weights
from streams.planner.snapshot import FleetSnapshot

PLACING = ("assign_task", "form_coalition")
"""Kinds of entries that give agents to a task which waits."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of a plan.

    Attributes:
        cost: Of its placements; with ``unplaced`` for every task that is left, it is the plan's ``objective``.
        placed: Tasks that would wait no more.
    """

    cost: int
    placed: int


def price(seen: FleetSnapshot, weights: Weights, entries: Sequence[ProposedEntry]) -> Price:
    """What these entries cost together.

    Of the planner's own plans that is what they say, by the weights that they were made by; where tasks of several
    slots share an agent, but for halves that were rounded in another order.

    Args:
        seen: The fleet that they are for. Entries about tasks and agents that it does not have cost nothing.
        weights: What counts for how much.
        entries: Of a plan. Moves and preemptions cost nothing, as in plans.
    """
    groups = seen.groups.draft()
    drafts: dict[str, Agent] = {}
    cost = placed = 0
    for entry in entries:
        asked = _asked(entry)
        if not asked or not seen.has_task(entry.task_id):
            continue
        task = seen.task(entry.task_id)
        placed += entry.type in PLACING
        for agent_id in asked:
            draft = drafts.get(agent_id)
            if draft is None:
                agent = seen.agent(agent_id)
                if agent is None:
                    continue
                draft = drafts[agent_id] = agent.draft(groups)
            cost += cost_of(task, draft, weights, draft.held_slots).total
            draft.reserve(task.slots, task.resources)
        if task.spread is not None and isinstance(entry, ProposedDirective):
            groups.join(task.spread.group, entry.agent_id)
    return Price(cost, placed)


def _asked(entry: ProposedEntry) -> list[str]:
    """The agents that get a task by it."""
    if isinstance(entry, ProposedDirective):
        return [entry.agent_id]
    if isinstance(entry, ProposedCoalition):
        return [member.agent_id for member in entry.members]
    return []
