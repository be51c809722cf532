"""The cheapest coalition for one task: agents that together have every capability which it must cover.

Weighted set cover with few capabilities and many agents, exactly, by dynamic programming over sets of
capabilities. Of all agents that have the same ones of them only the cheapest matters, and of those that have more
of them than is needed, too; so an agent is never wanted twice, and there are ``2 ** k`` sets to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

MAX_COVER = 16
"""Capabilities that one task may cover; the wire contract allows no more."""
NOBODY = 1 << 60
"""A cost at which nobody is to be had; nor is a coalition."""

Members: TypeAlias = tuple[int, ...]
"""Positions of agents."""

AT_ONCE = 8
"""Tasks with so many capabilities can be looked at together: the pairs of sets are ``3 ** k / 2`` for each."""
_BY_HAND = 7
"""So many capabilities of one task are looked through faster by a loop over sets than by array operations."""


class Having:
    """Who has which capability."""

    def __init__(self, agents: Sequence[frozenset[str]]) -> None:
        positions: dict[str, list[int]] = {}
        for position, capabilities in enumerate(agents):
            for capability in capabilities:
                positions.setdefault(capability, []).append(position)
        self._agents = len(agents)
        self._positions: Mapping[str, NDArray[np.int64]] = {
            capability: np.array(found, np.int64) for capability, found in positions.items()
        }

    def sets(self, cover: Sequence[str]) -> NDArray[np.int64]:
        """For each agent the set of those that it has, as bits: bit ``i`` stands for ``cover[i]``."""
        sets = np.zeros(self._agents, np.int64)
        for bit, capability in enumerate(cover):
            found = self._positions.get(capability)
            if found is not None:
                sets[found] |= 1 << bit
        return sets


def at_least(first: NDArray[np.int64]) -> None:
    """From who is first of those that have exactly a set of capabilities, in place, to who is of those that have
    at least it. The sets are the last axis."""
    for bit in range((first.shape[-1] - 1).bit_length()):
        halves = first.reshape(-1, 2, 1 << bit)
        np.minimum(halves[:, 0], halves[:, 1], out=halves[:, 0])


def cheapest_cover(best: Sequence[int], most: int) -> tuple[int, tuple[int, ...]]:
    """The cheapest way to cover everything.

    Args:
        best: For each set of capabilities, as bits, what an agent costs that has at least these, above 0;
            ``NOBODY`` if none has. Its length is a power of two.
        most: Agents that a coalition may have.

    Returns:
        The cost, and for each member the set that it is there for; ``NOBODY`` and none if there is no such
        coalition.
    """
    count = (len(best) - 1).bit_length()
    if count > _BY_HAND:
        return _with_fewer(best, most)
    parts = _parts(count)
    costs = [0] * len(best)
    firsts = [0] * len(best)
    for wanted in range(1, len(best)):
        least, first = NOBODY, 0
        for part in parts[wanted]:
            cost = best[part] + costs[wanted ^ part]
            if cost < least:
                least, first = cost, part
        costs[wanted] = least
        firsts[wanted] = first
    if costs[-1] >= NOBODY:
        return NOBODY, ()
    members = []
    wanted = len(best) - 1
    while wanted:
        members.append(firsts[wanted])
        wanted ^= firsts[wanted]
    if len(members) > most:
        return _with_fewer(best, most)
    return costs[-1], tuple(members)


def _with_fewer(best: Sequence[int], most: int) -> tuple[int, tuple[int, ...]]:
    if len(best) > 1 << AT_ONCE:
        return _by_members(np.array(best, np.int64), most)
    (cost,), (parts,) = cheapest_covers(np.array([best], np.int64), np.array([most]))
    return int(cost), tuple(part for part in parts.tolist() if part)


def cheapest_covers(
    best: NDArray[np.int64], most: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest way to cover everything, for many tasks with as many capabilities each, at most ``AT_ONCE``.

    Args:
        best: A row for each task, each as :func:`cheapest_cover` takes it.
        most: Agents that each one's coalition may have.

    Returns:
        The costs, and a row for each task of the sets that its members are there for, 0 where there are fewer.
    """
    tasks, sets = best.shape
    everything = sets - 1
    parts, rests, starts = _pairs(everything.bit_length())
    costs = np.full_like(best, NOBODY)
    costs[:, 0] = 0
    layers = [costs]
    """What each set costs with so many members, or fewer."""
    of_parts = best[:, parts]
    for _ in range(min(int(most.max(initial=0)), everything.bit_length())):
        one_more = np.minimum.reduceat(of_parts + layers[-1][:, rests], starts, axis=1)
        costs = layers[-1].copy()
        np.minimum(costs[:, 1:], one_more, out=costs[:, 1:])
        layers.append(costs)
    levels = np.minimum(most, len(layers) - 1)
    rows = np.arange(tasks)
    total = np.stack(layers)[levels, rows, everything]
    found = np.zeros((tasks, len(layers) - 1), np.int64)
    uncovered = np.where(total < NOBODY, everything, 0)
    which = np.arange(sets)
    base = rows[:, None] * sets
    for level in range(len(layers) - 1, 0, -1):
        fewer = layers[level - 1]
        target = layers[level][rows, uncovered]
        wanted = (levels >= level) & (fewer[rows, uncovered] > target)
        if wanted.any():
            ways = best + fewer.ravel()[base + (uncovered[:, None] & ~which)]
            part = np.where(wanted, (ways == target[:, None]).argmax(axis=1), 0)
            found[:, level - 1] = part
            uncovered &= ~part
    return total, found


@lru_cache(AT_ONCE + 1)
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """The same as :func:`_parts`, one after the other: the parts, what each leaves, and where each set begins."""
    parts: list[int] = []
    rests: list[int] = []
    starts: list[int] = []
    for wanted, those in enumerate(_parts(count)):
        if those:
            starts.append(len(parts))
            parts += those
            rests += [wanted ^ part for part in those]
    return np.array(parts, np.int64), np.array(rests, np.int64), starts


@lru_cache(AT_ONCE + 1)
def _parts(count: int) -> list[list[int]]:
    """For each set its subsets with its lowest element: one member has that, whoever has the rest."""
    parts: list[list[int]] = [[]]
    for wanted in range(1, 1 << count):
        lowest = wanted & -wanted
        others = wanted ^ lowest
        found = []
        rest = others
        while True:
            found.append(rest | lowest)
            if not rest:
                break
            rest = (rest - 1) & others
        parts.append(found)
    return parts


def _by_members(best: NDArray[np.int64], most: int) -> tuple[int, tuple[int, ...]]:
    """Member by member, over all sets that so many can cover: where members are bounded, or sets many."""
    everything = len(best) - 1
    # An agent with a larger set at no higher cost makes a smaller set worthless: the few others are tried.
    useful = np.flatnonzero((best < NOBODY) & (np.arange(len(best)) > 0))
    for bit in range(everything.bit_length()):
        larger = best[useful | 1 << bit]
        useful = useful[(useful >> bit & 1 == 1) | (larger > best[useful])]
    reached = np.full(len(best), NOBODY, np.int64)
    reached[0] = 0
    layers = [reached]
    for _ in range(min(most, everything.bit_length())):
        before = layers[-1]
        after = before.copy()
        for bit in range(everything.bit_length()):
            below = (1 << bit) - 1
            froms = np.flatnonzero(before < NOBODY)
            froms = froms[(froms & below == below) & (froms >> bit & 1 == 0)]
            if len(froms):
                for part in useful[useful >> bit & 1 == 1].tolist():
                    np.minimum.at(after, froms | part, before[froms] + best[part])
        layers.append(after)
    cost = int(layers[-1][everything])
    if cost >= NOBODY:
        return NOBODY, ()
    return cost, _walk_back(layers, best, useful, everything)


def _walk_back(
    layers: Sequence[NDArray[np.int64]], best: NDArray[np.int64], useful: NDArray[np.int64], covered: int
) -> tuple[int, ...]:
    members: list[int] = []
    for before, after in zip(reversed(layers[:-1]), reversed(layers[1:]), strict=True):
        if before[covered] == after[covered]:
            continue  # fewer members do
        states = np.flatnonzero(before < NOBODY)
        for part in useful.tolist():
            froms = states[states | part == covered]
            froms = froms[before[froms] + best[part] == after[covered]]
            if len(froms):
                members.append(part)
                covered = int(froms[0])
                break
    return tuple(members)
