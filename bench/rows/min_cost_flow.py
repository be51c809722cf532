"""Min-cost flow by OR-tools, in an environment of its own: arcs from a file, the least cost to standard output."""

from __future__ import annotations

import sys

import numpy as np
from ortools.graph.python import min_cost_flow


def main() -> None:
    problem = np.load(sys.argv[1])
    flow = min_cost_flow.SimpleMinCostFlow()
    tails, heads, capacities, costs = (np.ascontiguousarray(column) for column in problem["arcs"].T)
    flow.add_arcs_with_capacity_and_unit_cost(tails, heads, capacities, costs)
    flow.set_nodes_supplies(np.arange(len(problem["supplies"])), problem["supplies"])
    if flow.solve() != flow.OPTIMAL:
        sys.exit("no optimal flow")
    print(flow.optimal_cost())


if __name__ == "__main__":
    main()
