"""What a task costs on an agent, part by part: the terms of the published objective (``models.objective``)."""

from __future__ import annotations

from dataclasses import dataclass

from models import objective
from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fleet.spread import holder_of
from models.objective import Weights


@dataclass(frozen=True, slots=True)
class Cost:
    """The unit is a hundredth of a second on an agent of speed 1."""

    work: int
    zone: int
    labels: int
    spread: int
    load: int

    @property
    def total(self) -> int:
        return self.work + self.zone + self.labels + self.spread + self.load

    def on_wire(self) -> dict[str, int]:
        return {
            "cost": self.total,
            "work": self.work,
            "zone": self.zone,
            "labels": self.labels,
            "spread": self.spread,
            "load": self.load,
        }


def cost_of(task: TaskRow, agent: Agent, weights: Weights, held: int) -> Cost:
    """What the task costs on an agent of whose slots so many are held."""
    labels = agent.shape.labels
    missed_zone = task.prefer_zone is not None and task.prefer_zone != agent.row.zone
    missed_labels = any(labels.get(name) != value for name, value in task.prefer_labels.items())
    return Cost(
        work=objective.work(task.size, objective.slowness(agent.row.speed)),
        zone=weights.wrong_zone * missed_zone,
        labels=weights.wrong_labels * missed_labels,
        spread=weights.crowded * _crowd(task, agent),
        load=objective.slot(weights, held, max(1, agent.credits), task.slots),
    )


def _crowd(task: TaskRow, agent: Agent) -> int:
    """How many others of the task's group are where the agent is."""
    return 0 if task.spread is None else agent.groups.at(task.spread, agent.row, holder_of(task))
