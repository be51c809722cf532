"""Instances of the placement problem: read from a file, or made from a seed; and what a placement of one costs.

What is checked and counted here shares nothing with any planner but the published objective.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from models import objective
from models.objective import DEFAULT_WEIGHTS, USUAL_PRIORITY

SKILLS = 64
ZONES = 6
REQUIREMENTS = 120
FEWEST_ELIGIBLE = 45
"""Of ten thousand agents; a requirement that fewer can meet is drawn again."""


@dataclass(frozen=True, slots=True)
class Agent:
    agent_id: str
    capabilities: frozenset[str]
    slots: int
    used: int
    speed: float
    zone: str | None

    @property
    def slowness(self) -> int:
        return objective.slowness(self.speed)


@dataclass(frozen=True, slots=True)
class Task:
    task_id: str
    capabilities: frozenset[str]
    size: float
    zone: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class Instance:
    """Agents by id, and tasks in the order in which they came."""

    agents: dict[str, Agent]
    tasks: list[Task]


class BadInstance(ValueError):
    """The file is no instance; the message says where and why."""


def read_json(path: Path) -> Any:
    """What a file holds.

    Raises:
        BadInstance: if it cannot be read, or is no JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadInstance(f"{path} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise BadInstance(f"{path} is no JSON: {error}") from None


def read(path: Path) -> Instance:
    """An instance from its file.

    Raises:
        BadInstance: if it is none.
    """
    content = read_json(path)
    try:
        return from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInstance(f"{path} is no instance: {error!r}") from None


def from_json(content: Mapping[str, Any]) -> Instance:
    """From the content of a file: ``{"agents": [{"agent_id", …}], "tasks": [{"task_id", …}]}``."""
    agents: dict[str, Agent] = {}
    kinds: dict[tuple[str, ...], frozenset[str]] = {}

    def capabilities(of: Mapping[str, Any]) -> frozenset[str]:
        """Equal ones are one object: to compare them is to look whether they are the same."""
        listed = tuple(of.get("capabilities", ()))
        return kinds.get(listed) or kinds.setdefault(listed, frozenset(listed))

    for agent in content["agents"]:
        name = agent["agent_id"]
        slots, used, speed = agent.get("slots", 1), agent.get("used", 0), agent.get("speed", 1.0)
        if name in agents:
            raise ValueError(f"the agent {name!r} is there twice")
        if not (slots >= 0 and used >= 0 and speed > 0):
            raise ValueError(f"the agent {name!r} needs slots and used of 0 or more, and a speed above 0")
        agents[name] = Agent(name, capabilities(agent), slots, used, speed, agent.get("zone"))
    tasks = []
    for task in content["tasks"]:
        size = task.get("size", 1)
        if not size >= 0:
            raise ValueError(f"the task {task['task_id']!r} needs a size of 0 or more")
        priority = task.get("priority", USUAL_PRIORITY)
        tasks.append(Task(task["task_id"], capabilities(task), size, task.get("zone"), priority))
    if len({task.task_id for task in tasks}) < len(tasks):
        raise ValueError("two tasks have one id")
    return Instance(agents, tasks)


def generate(agents: int, tasks: int, seed: int) -> dict[str, Any]:
    """An instance as JSON: few skills that many have and many that few have, unlike speeds, nine tenths full.

    64 skills with Zipf's frequencies, of which an agent has 4 to 8 and a task requires 1 or 2 (120 different
    requirements, each as often as there are agents for it); 5 to 9 slots, 15 % of them in use; speeds lognormal
    (sigma 0.3); sizes 1, 2, 4 and 8; six zones, one of which each task prefers.
    """
    chance = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, SKILLS + 1)
    frequency /= frequency.sum()

    def skills(least: int, most: int) -> list[str]:
        count = int(chance.integers(least, most + 1))
        drawn = chance.choice(SKILLS, size=count, replace=False, p=frequency)
        return [f"skill-{number:02d}" for number in sorted(drawn.tolist())]

    fleet = []
    for number in range(agents):
        slots = int(chance.integers(5, 10))
        fleet.append(
            {
                "agent_id": f"agent-{number:05d}",
                "capabilities": skills(4, 8),
                "slots": slots,
                "used": int(chance.binomial(slots, 0.15)),
                "speed": round(float(chance.lognormal(0, 0.3)), 3),
                "zone": f"zone-{int(chance.integers(ZONES))}",
            }
        )
    has = [frozenset(agent["capabilities"]) for agent in fleet]
    requirements: dict[tuple[str, ...], int] = {}
    fewest = max(1, FEWEST_ELIGIBLE * agents // 10_000)
    while len(requirements) < REQUIREMENTS:
        required = tuple(skills(1, 2))
        eligible = sum(1 for capabilities in has if capabilities.issuperset(required))
        if eligible >= fewest:
            requirements[required] = eligible
    names = list(requirements)
    shares = np.array(list(requirements.values()), float)
    drawn = chance.choice(len(names), size=tasks, p=shares / shares.sum())
    sizes = chance.choice([1, 2, 4, 8], size=tasks, p=[0.4, 0.3, 0.2, 0.1])
    zones = chance.integers(ZONES, size=tasks)
    return {
        "agents": fleet,
        "tasks": [
            {
                "task_id": f"task-{number:06d}",
                "capabilities": list(names[which]),
                "size": size,
                "zone": f"zone-{zone}",
                "priority": USUAL_PRIORITY,
            }
            for number, (which, size, zone) in enumerate(
                zip(drawn.tolist(), sizes.tolist(), zones.tolist(), strict=True)
            )
        ],
    }


def cost(instance: Instance, placement: Mapping[str, str | None]) -> tuple[int, int]:
    """The objective of a placement, task by task, and how many tasks it leaves out.

    Raises:
        AssertionError: if an agent gets what it cannot do, or more than it has room for.
    """
    total = unplaced = 0
    given: Counter[str] = Counter()
    for task in instance.tasks:
        name = placement[task.task_id]
        if name is None:
            unplaced += 1
            total += objective.unplaced(DEFAULT_WEIGHTS, task.priority)
            continue
        agent = instance.agents[name]
        assert agent.capabilities >= task.capabilities, f"{name} cannot do {task.task_id}"
        used = agent.used + given[name]
        assert used < agent.slots, f"{name} has no room for {task.task_id}"
        given[name] += 1
        total += objective.work(task.size, agent.slowness) + objective.slot(
            DEFAULT_WEIGHTS, used, agent.slots
        )
        if task.zone is not None and task.zone != agent.zone:
            total += DEFAULT_WEIGHTS.wrong_zone
    return total, unplaced
