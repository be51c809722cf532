"""The cheapest cover is the cheapest of all that there are, by whichever way it is found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.planner.covers import (
    _BY_HAND,
    AT_ONCE,
    NOBODY,
    Having,
    _by_members,
    at_least,
    cheapest_cover,
    cheapest_covers,
)

SKILLS = ("a", "b", "c", "d")
AGENTS = st.lists(st.tuples(st.sets(st.sampled_from(SKILLS)), st.integers(1, 20)), max_size=7)


def best_of(agents: list[tuple[set[str], int]], cover: tuple[str, ...]) -> list[int]:
    """For each set what the cheapest agent costs that has at least these."""
    sets = Having([frozenset(skills) for skills, _ in agents]).sets(cover).tolist()
    return [
        min(
            (cost for owned, (_, cost) in zip(sets, agents, strict=True) if owned & wanted == wanted),
            default=NOBODY,
        )
        for wanted in range(1 << len(cover))
    ]


def by_trying(agents: list[tuple[set[str], int]], cover: tuple[str, ...], most: int) -> int:
    costs = [
        sum(cost for _, cost in some)
        for size in range(min(most, len(agents)) + 1)
        for some in combinations(agents, size)
        if set().union(*(skills for skills, _ in some)).issuperset(cover)
    ]
    return min(costs, default=NOBODY)


@settings(deadline=None)
@given(agents=AGENTS, size=st.integers(1, 4), most=st.integers(1, 4))
def test_no_coalition_is_cheaper(agents: list[tuple[set[str], int]], size: int, most: int) -> None:
    cover = SKILLS[:size]
    best = best_of(agents, cover)
    expected = by_trying(agents, cover, most)
    (together,), (parts_together,) = cheapest_covers(np.array([best], np.int64), np.array([most]))
    for cost, parts in (
        cheapest_cover(best, most),
        _by_members(np.array(best, np.int64), most),
        (int(together), tuple(part for part in parts_together.tolist() if part)),
    ):
        assert cost == expected
        if cost < NOBODY:
            assert sum(best[part] for part in parts) == cost
            assert len(parts) <= most
            covered = 0
            for part in parts:
                covered |= part
            assert covered == (1 << size) - 1
        else:
            assert parts == ()


TABLES = st.integers(1, AT_ONCE).flatmap(
    lambda count: st.lists(
        st.tuples(
            st.lists(
                st.tuples(st.integers(1, (1 << count) - 1), st.integers(1, 20)),
                min_size=1,
                max_size=2 * count,
            ),
            st.integers(1, 9),
        ),
        min_size=1,
        max_size=4,
    ).map(lambda rows: (count, rows))
)


@settings(deadline=None)
@given(table=TABLES)
def test_many_tasks_together_get_what_each_gets_alone(
    table: tuple[int, list[tuple[list[tuple[int, int]], int]]],
) -> None:
    count, rows = table
    best = np.full((len(rows), 1 << count), NOBODY, np.int64)
    for row, (agents, _) in zip(best, rows, strict=True):
        for owned, cost in agents:
            row[owned] = min(row[owned], cost)
    at_least(best)
    most = np.array([size for _, size in rows])
    costs, parts = cheapest_covers(best, most)
    for row, size, cost, there in zip(best, most.tolist(), costs.tolist(), parts.tolist(), strict=True):
        alone = _by_members(row, size)
        assert cost == alone[0]
        members = [part for part in there if part]
        assert sum(row[part] for part in members) == (cost if cost < NOBODY else 0)
        assert len(members) <= size
        assert (np.bitwise_or.reduce(members) == (1 << count) - 1) if members else cost == NOBODY


def test_sixteen_capabilities_are_covered_by_as_few_as_it_takes() -> None:
    cover = tuple(f"skill-{number}" for number in range(16))
    assert len(cover) > _BY_HAND
    pairs = [({cover[number], cover[number + 1]}, 10) for number in range(0, 16, 2)]
    halves = [(set(cover[:8]), 45), (set(cover[8:]), 45)]
    best = best_of([*pairs, *halves], cover)
    assert cheapest_cover(best, 16)[0] == 80
    assert cheapest_cover(best, 7)[0] == 85, "four pairs and a half are five"
    assert cheapest_cover(best, 2)[0] == 90
    assert cheapest_cover(best, 1) == (NOBODY, ())
