"""Rebalancing: moves work from agents that have had more than others for a while to those that have had less.

Off by default (``rebalancing.moves``), since who is moved begins anew. Placing evens out load by itself while
tasks come and go; this is for long ones, after agents came or tasks ended unevenly. What moves without good reason
moves for ever, so the gate is narrow: only in quiet rounds, on load smoothed over time, from a wide band to a
narrow one, never so that the other then has more, never where it costs more by the objective, each task once in a
while, few in a plan, and each to an agent that is named and gets it in the same step as the first one loses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.fleet.costs import cost_of
from models.fleet.feasibility import available, feasibility
from models.fleet.quotas import excess
from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fleet_records import ProposedMove
from models.policy import Policy
from streams.planner.snapshot import FleetSnapshot

_EPISODE = 3
"""Intervals after the last move in which rebalancing goes on down to the narrow band."""


@dataclass(slots=True)
class _Side:
    """An agent with what the moves so far leave it."""

    agent: Agent
    draft: Agent
    smoothed: float
    held: int
    """Slots of tasks that are not being withdrawn."""

    @property
    def load(self) -> float:
        return self.held / self.agent.credits

    def after(self, slots: int) -> float:
        return (self.held + slots) / self.agent.credits

    def take(self, task: TaskRow) -> None:
        self.held += task.slots
        self.draft.reserve(task.slots, task.resources)


def moves(snapshot: FleetSnapshot, policy: Policy, budget: int) -> tuple[list[ProposedMove], bool]:
    """Moves that even out load, and whether the budget ended before all was looked at."""
    gate = policy.rebalancing
    idle = snapshot.now - snapshot.moved_at
    if not gate.moves or idle < gate.interval:
        return [], False
    sides = _sides(snapshot)
    credits = sum(side.agent.credits for side in sides)
    mean = sum(side.held for side in sides) / credits if credits else 0.0
    band = gate.stop if idle < _EPISODE * gate.interval else gate.start
    over = [side for side in sides if min(side.smoothed, side.load) > mean * (1 + band)]
    under = [side for side in sides if max(side.smoothed, side.load) < mean]
    over.sort(key=lambda side: (-side.smoothed, side.agent.id))
    budget -= len(sides)
    found: list[ProposedMove] = []
    for source in over:
        for task in _movable(snapshot, policy, source.agent):
            if len(found) == gate.moves or source.load <= mean * (1 + gate.stop):
                break
            budget -= len(under)
            if budget < 0:
                return found, True
            target = _target(snapshot, policy, task, source, under)
            if target is not None:
                source.held -= task.slots  # not so its draft: the withdrawal keeps the credit for a while
                target.take(task)
                found.append(
                    ProposedMove(
                        task_id=task.task_id,
                        epoch=task.epoch + 1,
                        from_agent=source.agent.id,
                        agent_id=target.agent.id,
                    )
                )
    return found, False


def _sides(snapshot: FleetSnapshot) -> list[_Side]:
    """The agents that get new work, by id."""
    sides = []
    for agent in snapshot.agents:
        if agent.credits and available(agent):
            held = sum(
                row.slots for row in agent.live.values() if row.type in ("assign_task", "join_coalition")
            )
            sides.append(_Side(agent, agent.draft(), snapshot.smoothed_load(agent), held))
    sides.sort(key=lambda side: side.agent.id)
    return sides


def _movable(snapshot: FleetSnapshot, policy: Policy, agent: Agent) -> list[TaskRow]:
    """Tasks that it has alone and that were not moved lately, those first that lose the least."""
    rows = sorted(
        (row for row in agent.live.values() if row.is_single),
        key=lambda row: (-row.issued_at, -row.offset, -row.index),
    )
    tasks = (snapshot.task(row.task_id or "") for row in rows)
    planning, holdings = policy.planning, snapshot.holdings
    moved_before = snapshot.now - policy.rebalancing.cool_down
    # For a while it would hold what it needs twice.
    return [task for task in tasks if task.moved_at <= moved_before and not excess(planning, holdings, task)]


def _target(
    snapshot: FleetSnapshot, policy: Policy, task: TaskRow, source: _Side, under: list[_Side]
) -> _Side | None:
    """Who has the least to do of those to whom moving the task is an improvement, by load and by the objective."""
    weights = policy.planning.objective
    here = cost_of(task, source.agent, weights, source.held - task.slots).total
    best: _Side | None = None
    for side in under:
        if (
            (best is None or side.load < best.load)
            and side.after(task.slots) <= source.after(-task.slots)
            and cost_of(task, side.agent, weights, side.held).total < here
            and feasibility(task, side.draft, snapshot.now) == "eligible"
        ):
            best = side
    return best
