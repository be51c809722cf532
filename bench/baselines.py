"""What people place tasks with where they have nothing better, to see what a planner is worth."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import TypeAlias

from bench.instances import Agent, Instance

Placement: TypeAlias = dict[str, str | None]
Baseline: TypeAlias = Callable[[Instance, random.Random], Placement]


class _Fleet:
    """Agents that may hold a task, and what each of them has room for."""

    def __init__(self, instance: Instance) -> None:
        self._agents = list(instance.agents.values())
        self.used = {agent.agent_id: agent.used for agent in self._agents}
        self.eligible = lru_cache(None)(self._eligible)

    def _eligible(self, capabilities: frozenset[str]) -> Sequence[Agent]:
        return [agent for agent in self._agents if agent.capabilities >= capabilities]

    def take(self, agent: Agent | None) -> str | None:
        """Give it to the agent; a full one refuses."""
        if agent is None or self.used[agent.agent_id] >= agent.slots:
            return None
        self.used[agent.agent_id] += 1
        return agent.agent_id

    def load(self, agent: Agent) -> float:
        return self.used[agent.agent_id] / max(1, agent.slots)


def at_random(instance: Instance, chance: random.Random) -> Placement:
    """Any agent that may hold it."""
    fleet = _Fleet(instance)
    return {
        task.task_id: fleet.take(
            chance.choice(agents) if (agents := fleet.eligible(task.capabilities)) else None
        )
        for task in instance.tasks
    }


def round_robin(instance: Instance, chance: random.Random) -> Placement:
    """The next one of those that may hold it."""
    fleet = _Fleet(instance)
    turns: dict[frozenset[str], count[int]] = {}
    placement: Placement = {}
    for task in instance.tasks:
        agents = fleet.eligible(task.capabilities)
        turn = next(turns.setdefault(task.capabilities, count()))
        placement[task.task_id] = fleet.take(agents[turn % len(agents)] if agents else None)
    return placement


def least_loaded_on_reports(instance: Instance, chance: random.Random) -> Placement:
    """Whoever reported the lowest load when the round began, as everybody else does who reads the same report."""
    fleet = _Fleet(instance)
    reported = {agent.agent_id: fleet.load(agent) for agent in instance.agents.values()}
    best = lru_cache(None)(
        lambda capabilities: min(
            fleet.eligible(capabilities),
            key=lambda agent: (reported[agent.agent_id], agent.agent_id),
            default=None,
        )
    )
    return {task.task_id: fleet.take(best(task.capabilities)) for task in instance.tasks}


def two_choices(instance: Instance, chance: random.Random) -> Placement:
    """The less loaded of any two that may hold it (Mitzenmacher's power of two choices), with true loads."""
    fleet = _Fleet(instance)
    placement: Placement = {}
    for task in instance.tasks:
        agents = fleet.eligible(task.capabilities)
        pair = [chance.choice(agents), chance.choice(agents)] if agents else []
        placement[task.task_id] = fleet.take(min(pair, key=fleet.load, default=None))
    return placement


def first_fit(instance: Instance, chance: random.Random) -> Placement:
    """The first one that may hold it and has room."""
    fleet = _Fleet(instance)
    starts: dict[frozenset[str], int] = {}
    placement: Placement = {}
    for task in instance.tasks:
        agents = fleet.eligible(task.capabilities)
        at = starts.get(task.capabilities, 0)
        while at < len(agents) and fleet.load(agents[at]) >= 1:
            at += 1
        starts[task.capabilities] = at  # who is full stays full
        placement[task.task_id] = fleet.take(agents[at] if at < len(agents) else None)
    return placement


BASELINES: dict[str, Baseline] = {
    "random": at_random,
    "round-robin": round_robin,
    "least-loaded-reports": least_loaded_on_reports,
    "two-choices": two_choices,
    "first-fit": first_fit,
}
