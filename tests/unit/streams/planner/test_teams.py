"""Who is to be in a coalition: a complete team, the cheapest where that can be told by trying all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet.team import Capabilities, Part, Team
from streams.planner.teams import Has, choose

SKILLS = ["a", "b", "c", "d"]
capabilities = st.frozensets(st.sampled_from(SKILLS), max_size=3)


def has(have: Sequence[Capabilities]) -> Has:
    return lambda capability: np.array([capability in one for one in have], np.bool_)


@st.composite
def candidates(draw: st.DrawFn) -> tuple[list[Capabilities], list[int]]:
    have = draw(st.lists(capabilities, max_size=8))
    costs = draw(st.lists(st.integers(0, 9), min_size=len(have), max_size=len(have)))
    return have, costs


@settings(deadline=None, max_examples=300)
@given(candidates(), st.frozensets(st.sampled_from(SKILLS), min_size=1), st.integers(1, 4))
def test_a_cover_is_the_cheapest_there_is(
    some: tuple[list[Capabilities], list[int]], cover: Capabilities, max_size: int
) -> None:
    have, costs = some
    team = Team(cover=cover, max_size=max_size)
    chosen = choose(team, has(have), np.array(costs, np.int64))
    covers = [
        members
        for size in range(1, max_size + 1)
        for members in combinations(range(len(have)), size)
        if team.misfit([(have[member], None) for member in members]) is None
    ]
    if chosen is None:
        assert not covers
        return
    assert team.misfit([(have[member], role) for member, role in chosen]) is None
    assert len({member for member, _ in chosen}) == len(chosen)
    # Each member costs one more than it says, so that free ones are not asked in vain.
    least = min(sum(costs[member] + 1 for member in members) for members in covers)
    assert sum(costs[member] + 1 for member, _ in chosen) == least


@settings(deadline=None, max_examples=300)
@given(
    candidates(),
    st.lists(st.tuples(st.frozensets(st.sampled_from(SKILLS), max_size=2), st.integers(1, 3)), max_size=3),
)
def test_a_crew_is_found_whenever_there_is_one(
    some: tuple[list[Capabilities], list[int]], wanted: list[tuple[Capabilities, int]]
) -> None:
    have, costs = some
    parts = tuple(Part(f"r{number}", skills, count) for number, (skills, count) in enumerate(wanted))
    if not parts:
        return
    team = Team(parts, max_size=sum(part.count for part in parts))
    chosen = choose(team, has(have), np.array(costs, np.int64))
    if chosen is None:
        assert not _is_feasible(parts, have)
        return
    assert team.misfit([(have[member], role) for member, role in chosen]) is None
    assert len({member for member, _ in chosen}) == len(chosen)


def _is_feasible(parts: tuple[Part, ...], have: list[Capabilities]) -> bool:
    """By Hall's theorem: any places together have at least as many candidates."""
    for size in range(1, len(parts) + 1):
        for some in combinations(parts, size):
            able = sum(any(skills >= part.capabilities for part in some) for skills in have)
            if able < sum(part.count for part in some):
                return False
    return True


def test_the_cheapest_play_a_role_that_all_can() -> None:
    team = Team((Part("x", frozenset(), 2),), max_size=2)
    assert choose(team, has([frozenset()] * 4), np.array([3, 1, 2, 1])) == [(1, "x"), (3, "x")]


def test_two_hundred_who_cost_nothing_make_no_crowd() -> None:
    team = Team(cover=frozenset(SKILLS), max_size=4)
    have = [frozenset(SKILLS[: 1 + number % 4]) for number in range(200)]
    assert choose(team, has(have), np.zeros(200, np.int64)) == [(3, None)]
