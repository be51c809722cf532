"""Preemption: a task that is much more urgent takes the place of one that runs, where nobody has room.

Off by default (``planning.preemption``). The victim is the least urgent task whose end makes room, of equals the
one that began last, so that the least work is lost. One victim for each urgent task and one for each agent in a
plan, few in all; and none for a task that waits for its victim to stop already.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from models.fleet.backlog import TaskClass
from models.fleet.feasibility import feasibility
from models.fleet.quotas import Holdings, excess_instead
from models.fleet.roster import Agent
from models.fleet.rows import DirectiveRow, TaskRow
from models.fleet_records import ProposedPreemption
from models.policy import PlanningPolicy
from streams.planner.snapshot import FleetSnapshot

MOST = 10
"""Victims of one plan."""


@dataclass(slots=True)
class _Victim:
    task: TaskRow
    directive: DirectiveRow
    agent: Agent

    def ease(self) -> tuple[int, int, str]:
        """Orders victims: those that nobody will miss first."""
        return self.task.standing, -self.directive.issued_at, self.task.task_id


def preempt(
    snapshot: FleetSnapshot, planning: PlanningPolicy, placed: Set[str], budget: int
) -> tuple[list[ProposedPreemption], int]:
    """Victims for the most urgent tasks that wait and are not among those ``placed``; and the work units spent."""
    if not planning.preemption or not snapshot.at_work:
        return [], 0
    least = min(snapshot.at_work) + planning.preemption
    holdings, groups = snapshot.holdings.draft(), snapshot.groups.draft()
    urgent = _urgent(snapshot, placed, least, holdings)
    if not urgent or budget <= 0:
        return [], 0
    victims = [
        _Victim(snapshot.task(directive.task_id or ""), directive, agent)
        for agent in snapshot.agents
        for directive in agent.live.values()
        if directive.is_single
    ]
    spent = len(victims)
    victims.sort(key=_Victim.ease)
    found: list[ProposedPreemption] = []
    for task, task_class in urgent:
        for number, victim in enumerate(victims):
            spent += 1
            if victim.task.standing + planning.preemption > task.priority or spent > budget:
                break
            if victim.agent.shape.number not in task_class.capable:
                continue
            if excess_instead(planning, holdings, task, victim.task):
                continue
            agent = victim.agent.without(victim.task, groups)
            if feasibility(task, agent, snapshot.now) == "eligible":
                _exchange(holdings, victim.task, task)
                if task.spread is not None:
                    groups.join(task.spread.group, agent.id)
                found.append(
                    ProposedPreemption(
                        task_id=victim.task.task_id,
                        epoch=victim.task.epoch,
                        agent_id=victim.agent.id,
                        for_task=task.task_id,
                    )
                )
                victims = [one for one in victims[number + 1 :] if one.agent is not victim.agent]
                break
    return found, spent


def _exchange(holdings: Holdings, victim: TaskRow, task: TaskRow) -> None:
    """Note what the task's tenant will hold. That of the victim holds what it has until its agent has let go."""
    if task.tenant is None:
        return
    holdings.add(task.tenant, task.slots, task.resources)
    if victim.tenant == task.tenant:
        holdings.add(task.tenant, victim.slots, victim.resources, -1)


def _urgent(
    snapshot: FleetSnapshot, placed: Set[str], least: int, holdings: Holdings
) -> list[tuple[TaskRow, TaskClass]]:
    """The most urgent tasks that might take another's place."""
    found = []
    for task_class in snapshot.classes:
        if task_class.team is not None or task_class.impossible:
            continue
        taken = 0
        for rank in task_class.queue:
            if taken == MOST or -rank[0] < least:
                break
            task = snapshot.task(rank[3])
            if task.task_id in placed or task.priority < least or task.retry_at > snapshot.now:
                continue
            if snapshot.has_claim(task):
                if task.tenant is not None:  # another gives way to it: what it takes is spoken for
                    holdings.add(task.tenant, task.slots, task.resources)
            else:
                found.append((rank, task, task_class))
                taken += 1
    found.sort(key=lambda one: one[0])
    return [(task, task_class) for _, task, task_class in found[:MOST]]
