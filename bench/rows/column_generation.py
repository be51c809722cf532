"""The bound of column generation for an instance of coalitions, by HiGHS, in an environment of its own with scipy.

The linear program over all coalitions, of which only those are made that its prices ask for. It shares nothing
with the planner. Reads the instance's JSON, prints the bound: no choice of disjoint coalitions is worth more.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from math import inf

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

_TOLERANCE = 1e-7


def cheapest(
    sets: list[int], prices: list[float], everything: int, most: int
) -> tuple[float, tuple[int, ...]]:
    """The cheapest agents, at most so many, whose sets together are everything."""
    best: dict[int, tuple[float, int]] = {}
    for agent, owned in enumerate(sets):
        if owned and prices[agent] < best.get(owned, (inf, 0))[0]:
            best[owned] = prices[agent], agent
    reached: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for _ in range(most):
        further = dict(reached)
        for (covered, (cost, members)), (owned, (price, agent)) in product(reached.items(), best.items()):
            if cost + price < further.get(covered | owned, (inf, ()))[0]:
                further[covered | owned] = cost + price, (*members, agent)
        reached = further
    return reached.get(everything, (inf, ()))


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        instance = json.load(file)
    agents, tasks = instance["agents"], instance["tasks"]
    costs = [agent["cost"] for agent in agents]
    sets = [
        [
            sum(1 << bit for bit, one in enumerate(task["cover"]) if one in agent["capabilities"])
            for agent in agents
        ]
        for task in tasks
    ]
    prices = [0.0] * len(agents)
    wages = [0.0] * len(tasks)
    columns: dict[tuple[int, frozenset[int]], float] = {}
    while True:
        found = False
        bound = sum(prices)
        asked = [cost + price for cost, price in zip(costs, prices, strict=True)]
        for number, task in enumerate(tasks):
            cost, members = cheapest(sets[number], asked, (1 << len(task["cover"])) - 1, task["max_size"])
            gain = task["value"] - cost
            bound += max(0.0, gain)
            key = number, frozenset(members)
            if gain > wages[number] + _TOLERANCE and key not in columns:
                columns[key] = task["value"] - sum(costs[member] for member in set(members))
                found = True
        if not found:
            print(bound)
            return
        rows, places = [], []
        for place, (number, members) in enumerate(columns):
            rows += [number, *(len(tasks) + member for member in members)]
            places += [place] * (1 + len(members))
        shape = len(tasks) + len(agents), len(columns)
        matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, places)), shape=shape)
        solved = linprog(
            [-gain for gain in columns.values()], A_ub=matrix, b_ub=np.ones(shape[0]), method="highs"
        )
        duals = (-solved.ineqlin.marginals).tolist()
        wages, prices = duals[: len(tasks)], duals[len(tasks) :]


if __name__ == "__main__":
    main()
