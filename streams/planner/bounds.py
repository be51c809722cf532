"""What the tasks of a plan cost at the least, wherever they go: how far from the best it is at the most.

Lagrangian relaxation. Give every agent a price for a slot; let each task go where way and price together are
cheapest, whoever else wants the same slot; take off what the prices bring in for slots that cost less than them.
That is a lower bound for any prices (weak duality), and a close one for good ones, which the plan itself suggests:
what its tasks are ready to pay, so that each slot costs what the keenest of them would give for it.

What makes placing harder is left out, so that the bound holds all the same: resources, groups, roles, that a task
takes several slots (one is counted), and that some refused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.objective import Weights
from streams.planner.waterfill import Agents, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Tasks that a plan places, alike in what ways cost."""

    eligible: Ints
    """Positions of the agents that may hold them, rising."""
    holders: Ints
    """Positions of those that get them, once for each task."""
    size: float
    """The least of theirs."""
    penalties: Ints | None = None
    """For every agent what a task costs more there."""

    def ways(self, agents: Agents) -> Ints:
        """For each eligible agent what a task costs there, but for the agent's load."""
        ways: Ints = np.minimum(np.rint(agents.slowness[self.eligible] * self.size), _DEAREST).astype(
            np.int64
        )
        if self.penalties is not None:
            ways += self.penalties[self.eligible]
        return ways


_DEAREST = float(1 << 40)


def work_of(placed: Sequence[Placed]) -> int:
    """Work units that the bound costs."""
    return sum(3 * len(one.eligible) + _OVERHEAD for one in placed)


_OVERHEAD = 500
_MOST_LEVELS = 64
"""Slots of one agent that are looked at one by one."""


def lower_bound(agents: Agents, placed: Sequence[Placed], weights: Weights) -> int:
    """No placement of the same tasks costs less.

    Args:
        agents: As they were before the plan.
        placed: What it places.
        weights: What counts for how much.
    """
    if not placed:
        return 0
    slots = _Slots(agents, weights)
    got = np.bincount(np.concatenate([one.holders for one in placed]), minlength=len(agents.slots))
    last = slots.cost(np.maximum(got - 1, 0))
    keenest = np.zeros(len(agents.slots), np.int64)
    for one in placed:
        ways = one.ways(agents)
        paid = ways[np.searchsorted(one.eligible, one.holders)] + last[one.holders]
        # Alone, all would pay what the last of them pays; among others, what they pay on average comes closer.
        ready = int(paid.max()) if len(placed) == 1 else int(paid.sum()) // len(paid)
        keenest[one.eligible] = np.maximum(keenest[one.eligible], ready - ways)
    first = slots.cost(np.zeros_like(got))
    following = np.where(got < slots.free, slots.cost(got), last)
    prices = np.maximum(keenest, first)
    return max(_dual(agents, slots, placed, np.minimum(prices, bound)) for bound in (prices, following))


def _dual(agents: Agents, slots: _Slots, placed: Sequence[Placed], prices: Ints) -> int:
    cheapest = sum(int((one.ways(agents) + prices[one.eligible]).min()) * len(one.holders) for one in placed)
    return cheapest - slots.income(prices)


class _Slots:
    """The free slots of agents, each of which costs more than the one before."""

    def __init__(self, agents: Agents, weights: Weights) -> None:
        self.free = np.maximum(agents.slots - agents.used, 0)
        self._used = agents.used
        self._slots = np.maximum(agents.slots, 1)
        self._load = weights.load

    def cost(self, levels: Ints | int, which: Ints | slice = slice(None)) -> Ints:
        """Of the slot of these agents that is used when so many of the free ones are."""
        used = (self._used[which] + levels).astype(np.float64)
        whole: Ints = np.rint(self._load * (2 * used + 1) / self._slots[which]).astype(np.int64)
        return whole

    def income(self, prices: Ints) -> int:
        """What these prices bring in over the costs of slots, from all slots that cost less."""
        total, level = 0, 0
        left = np.flatnonzero(self.free)
        while len(left):
            gains = np.maximum(prices[left] - self.cost(level, left), 0)
            if level == _MOST_LEVELS:
                # No further slot gains more than this one: that is enough, and a bound of its own.
                return total + int((gains * (self.free[left] - level)).sum())
            gainful = gains > 0
            total += int(gains.sum())
            level += 1
            left = left[gainful & (self.free[left] > level)]
        return total
