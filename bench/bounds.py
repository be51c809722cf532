"""What no placement can cost less than: the optimum, by min-cost flow on classes, or a bound that is made at once.

Both work on what the planner works on, agents as arrays and classes of tasks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.environments import answer_of
from models import objective
from models.objective import DEFAULT_WEIGHTS
from streams.planner.waterfill import Agents, Demand

ORTOOLS = "ortools==9.15.6755"


def optimum(agents: Agents, demands: Sequence[Demand]) -> int:
    """The least that any placement costs.

    A flow from demands over agents to one sink. Each slot of an agent is an arc of its own; their costs rise, so
    that a flow of least cost fills them in order.

    Raises:
        OSError: if OR-tools cannot be had, or finds none.
    """
    sink = len(demands) + len(agents.slots)
    arcs: list[NDArray[np.int64]] = []

    def add(tails: object, heads: object, capacities: object, costs: object) -> None:
        columns = np.broadcast_arrays(tails, heads, capacities, costs)
        arcs.append(np.stack([column.astype(np.int64) for column in columns], axis=-1).reshape(-1, 4))

    for number, demand in enumerate(demands):
        add(number, len(demands) + demand.eligible, demand.count, way_costs(agents, demand))
        add([number], sink, demand.count, objective.unplaced(DEFAULT_WEIGHTS, demand.priority))
    for free, costs in _slots(agents):
        add(len(demands) + free, sink, 1, costs)
    supplies = np.zeros(sink + 1, np.int64)
    supplies[: len(demands)] = [demand.count for demand in demands]
    supplies[sink] = -supplies.sum()
    with tempfile.TemporaryDirectory() as directory:
        problem = Path(directory) / "problem.npz"
        np.savez(problem, supplies=supplies, arcs=np.concatenate(arcs))
        return int(answer_of("optimum", ORTOOLS, "min_cost_flow.py", problem))


def relaxation(agents: Agents, demands: Sequence[Demand]) -> int:
    """What it would cost if each demand had all agents to itself: never more than the optimum."""
    slots = list(_slots(agents))
    total = 0
    for demand in demands:
        ways = np.full(len(agents.slots), -1)
        ways[demand.eligible] = way_costs(agents, demand)
        options = [ways[free][able] + costs[able] for free, costs in slots if (able := ways[free] >= 0).any()]
        unplaced = objective.unplaced(DEFAULT_WEIGHTS, demand.priority)
        options.append(np.full(demand.count, unplaced))
        total += int(np.sort(np.concatenate(options))[: demand.count].sum())
    return total


def way_costs(agents: Agents, demand: Demand) -> NDArray[np.int64]:
    """What a task of the demand costs on each eligible agent, but for the load."""
    work = np.rint(agents.slowness[demand.eligible] * demand.size).astype(np.int64)
    return work if demand.penalties is None else work + demand.penalties[demand.eligible]


def _slots(agents: Agents) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The first free slot of each agent that has one, then the second ones, and so on: agents, and costs."""
    for step in range(int((agents.slots - agents.used).max(initial=0))):
        free = np.flatnonzero(agents.used + step < agents.slots)
        used = (agents.used[free] + step).astype(np.float64)
        yield free, np.rint(DEFAULT_WEIGHTS.load * (2 * used + 1) / agents.slots[free]).astype(np.int64)
