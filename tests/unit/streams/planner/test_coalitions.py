"""Coalitions: no agent in two, all or nothing, near the bound, the bound a bound, and equal plans everywhere."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.coalitions import BUDGETS, gain, generate, ours
from streams.planner.coalitions import Candidate, form
from streams.planner.covers import Members
from tests.support.processors import printed_without

SKILLS = "abc"
AGENTS = st.lists(st.tuples(st.frozensets(st.sampled_from(SKILLS)), st.integers(0, 9)), max_size=5)
TASKS = st.lists(
    st.builds(
        Candidate,
        cover=st.lists(st.sampled_from(SKILLS), min_size=1, max_size=3, unique=True).map(tuple),
        value=st.integers(0, 30),
        max_size=st.integers(1, 3),
    ),
    max_size=3,
)


def most(agents: list[tuple[frozenset[str], int]], tasks: list[Candidate]) -> float:
    """By trying everything."""
    if not tasks:
        return 0
    first, *rest = tasks
    best = most(agents, rest)
    for size in range(1, min(first.max_size, len(agents)) + 1):
        for members in combinations(range(len(agents)), size):
            if frozenset().union(*(agents[member][0] for member in members)).issuperset(first.cover):
                worth = first.value - sum(agents[member][1] for member in members)
                others = [agent for number, agent in enumerate(agents) if number not in members]
                best = max(best, worth + most(others, rest))
    return best


@settings(deadline=None)
@given(agents=AGENTS, tasks=TASKS, budget=st.sampled_from([0, 2_000, 20_000]))
def test_coalitions_are_disjoint_and_whole_and_nothing_gains_more_than_the_bound(
    agents: list[tuple[frozenset[str], int]], tasks: list[Candidate], budget: int
) -> None:
    formed = form([skills for skills, _ in agents], [cost for _, cost in agents], tasks, budget)
    busy: set[int] = set()
    total = 0.0
    for task, members in zip(tasks, formed.coalitions, strict=True):
        if members is None:
            continue
        assert 1 <= len(members) <= task.max_size
        assert len(set(members)) == len(members)
        assert not busy.intersection(members)
        busy.update(members)
        assert frozenset().union(*(agents[member][0] for member in members)).issuperset(task.cover)
        total += task.value - sum(agents[member][1] for member in members)
    assert formed.gain == pytest.approx(total)
    assert formed.gain <= most(agents, tasks) <= formed.bound + 1e-9


def test_the_dearer_member_is_chosen_where_the_cheap_one_is_wanted_elsewhere() -> None:
    """Greedily the first task takes the agent that alone could do the second."""
    capabilities = [frozenset("a"), frozenset("ab"), frozenset("b")]
    tasks = [Candidate(("a",), 50, 1), Candidate(("b",), 40, 1)]
    choice: list[Members | None] = [(0,), (1,)]
    assert form(capabilities, [12, 10, 39], tasks, 0).gain == 41
    formed = form(capabilities, [12, 10, 39], tasks, 10_000)
    assert formed.coalitions == choice
    assert formed.gain == 68


COLUMN_BOUND = 13_868
"""``python bench/coalitions.py`` prints it, and the gains."""
PLAN = "565090af2b735cb6"


def test_more_work_comes_nearer_to_the_bound() -> None:
    instance = generate(200, 50, 1)
    gaps = []
    for units in BUDGETS.values():
        formed = ours(instance, units)
        assert formed.bound > COLUMN_BOUND - 0.5
        gaps.append(1 - formed.gain / COLUMN_BOUND)
    greedy, quick, thorough = gaps
    assert greedy < 0.06
    assert quick < 0.015
    assert 0 <= thorough < 0.002
    assert formed.bound < 1.001 * COLUMN_BOUND


def digest() -> str:
    instance = generate(120, 40, 2)
    formed = ours(instance, BUDGETS["ours"])
    return hashlib.sha256(repr(formed).encode()).hexdigest()[:16]


@pytest.mark.parametrize("features", ["", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_the_choice_is_the_same_on_every_processor_and_under_every_hash_seed(features: str) -> None:
    program = f"from {__name__} import digest; print(digest())"
    assert printed_without(features, program) == PLAN


def test_the_referee_finds_what_is_wrong() -> None:
    instance = {
        "agents": [{"agent_id": "a1", "capabilities": ["x"], "cost": 1}],
        "tasks": [
            {"task_id": "t1", "cover": ["x"], "value": 5, "max_size": 1},
            {"task_id": "t2", "cover": ["y"], "value": 5, "max_size": 1},
        ],
    }
    assert gain(instance, {"t1": ["a1"], "t2": None}) == 4
    for wrong in ({"t1": ["a1", "a1"], "t2": None}, {"t1": ["a1"], "t2": ["a1"]}, {"t1": None, "t2": ["a1"]}):
        with pytest.raises(AssertionError):
            gain(instance, wrong)
