"""Who is to be in one coalition: a complete team at the least cost, of agents that can all take the task now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.fleet.team import Part, Team
from streams.planner.covers import NOBODY, at_least, cheapest_cover
from streams.planner.waterfill import Ints

Chosen: TypeAlias = list[tuple[int, str | None]]
"""Numbers of candidates, each with its role."""

_MOST = 64
"""Members of a coalition; the wire contract allows no more. Of so many candidates for each role, the cheapest, one
is always left that no other role has taken."""


Has: TypeAlias = Callable[[str], NDArray[np.bool_]]
"""Of each candidate whether it has a capability."""


def choose(team: Team, has: Has, costs: Ints) -> Chosen | None:
    """The members of a team.

    Args:
        team: What they must be together.
        has: What each candidate can do.
        costs: Of each candidate, 0 or more; unlike, or ties go to the first.

    Returns:
        The cheapest cover there is, or for each role the cheapest that others leave; ``None`` if there is no such
        team.
    """
    if team.parts:
        return _by_roles(team.parts, has, costs)
    return _by_cover(sorted(team.cover), team.max_size, has, costs)


def _by_cover(cover: Sequence[str], max_size: int, has: Has, costs: Ints) -> Chosen | None:
    sets = np.zeros(len(costs), np.int64)
    for bit, capability in enumerate(cover):
        sets |= has(capability).astype(np.int64) << bit
    order = np.argsort(costs, kind="stable")
    # For each set the place, in that order, of the cheapest who has all of it, or more.
    first = np.full(1 << len(cover), len(order), np.int64)
    np.minimum.at(first, sets[order], np.arange(len(order)))
    at_least(first)
    # One more for each: who costs nothing must not be wanted twice.
    prices = [*(costs[order] + 1).tolist(), NOBODY]
    _, parts = cheapest_cover([prices[place] for place in first.tolist()], max_size)
    return [(int(order[first[part]]), None) for part in parts] or None


def _by_roles(parts: Sequence[Part], has: Has, costs: Ints) -> Chosen | None:
    """Each place goes to the cheapest who is left; who could do something else makes way if need be.

    Augmenting paths (Kuhn, Naval Research Logistics Quarterly 2, 1955): if there is a complete team, one is found.
    """
    order = np.argsort(costs, kind="stable")
    able: list[list[int]] = []
    for part in parts:
        fits = np.ones(len(costs), np.bool_)
        for capability in part.capabilities:
            fits &= has(capability)
        able.append(order[fits[order]][:_MOST].tolist())
    places = [number for number, part in enumerate(parts) for _ in range(part.count)]
    places.sort(key=lambda number: (len(able[number]), number))  # the scarce ones first
    holder: dict[int, int] = {}
    """Candidate to the place that it has."""

    def seat(place: int, tried: set[int]) -> bool:
        for candidate in able[places[place]]:
            if candidate not in holder:
                holder[candidate] = place
                return True
        for candidate in able[places[place]]:
            if candidate not in tried:
                tried.add(candidate)
                if seat(holder[candidate], tried):
                    holder[candidate] = place
                    return True
        return False

    if not all(seat(place, set()) for place in range(len(places))):
        return None
    by_place = sorted((place, candidate) for candidate, place in holder.items())
    return [(candidate, parts[places[place]].role) for place, candidate in by_place]
