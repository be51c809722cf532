"""The water-fill: never more than there is room for, near the optimum, and the same plan wherever it is made."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import instances
from bench.plan import QUICK, THOROUGH, Fleet, demands_of, ours
from models.objective import DEFAULT_WEIGHTS, slot
from streams.planner.waterfill import MOST_PER_AGENT, Agents, Demand, Ints, _Books, fill
from tests.support.processors import printed_without

ENOUGH = 1_000_000


def array(*numbers: int) -> Ints:
    return np.array(numbers, np.int64)


def fleet(slots: list[int], used: list[int] | None = None, slowness: list[int] | None = None) -> Agents:
    return Agents(
        slots=array(*slots),
        used=array(*(used or [0] * len(slots))),
        slowness=array(*(slowness or [100] * len(slots))),
    )


def drawn_problem(draw: st.DrawFn) -> tuple[Agents, list[Demand]]:
    count = draw(st.integers(0, 12))
    small = st.integers(0, 6)
    some_penalties = st.lists(st.sampled_from([0, 150, 300]), min_size=count, max_size=count)
    agents = Agents(
        slots=array(*draw(st.lists(small, min_size=count, max_size=count))),
        used=array(*draw(st.lists(small, min_size=count, max_size=count))),
        slowness=array(*draw(st.lists(st.integers(1, 300), min_size=count, max_size=count))),
    )
    penalties = [None, *(array(*draw(some_penalties)) for _ in range(3))]
    demands = [
        Demand(
            eligible=array(*sorted(draw(st.sets(st.integers(0, count - 1))))) if count else array(),
            count=draw(st.integers(0, 20)),
            size=draw(st.sampled_from([0, 0.5, 1.0, 8, 1e300])),
            penalties=draw(st.sampled_from(penalties)),
            priority=draw(st.integers(0, 9)),
        )
        for _ in range(draw(st.integers(0, 8)))
    ]
    return agents, demands


@settings(deadline=None)
@given(problem=st.composite(drawn_problem)(), budget=st.sampled_from([0, 50_000, ENOUGH]))
def test_agents_get_what_they_may_hold_and_have_room_for_and_no_room_stays_that_is_wanted(
    problem: tuple[Agents, list[Demand]], budget: int
) -> None:
    agents, demands = problem
    placed = fill(agents, demands, budget)
    given_to = np.zeros(len(agents.slots), np.int64)
    assert len(placed) == len(demands)
    for demand, holders in zip(demands, placed, strict=True):
        assert len(holders) <= demand.count
        assert np.isin(holders, demand.eligible).all()
        np.add.at(given_to, holders, 1)
    room = np.maximum(agents.slots - agents.used, 0)
    assert (given_to <= room).all()
    for demand, holders in zip(demands, placed, strict=True):
        if len(holders) < demand.count:
            assert (given_to[demand.eligible] == room[demand.eligible]).all(), "somebody had room"


@settings(deadline=None)
@given(problem=st.composite(drawn_problem)())
def test_nobody_has_the_room_of_an_agent_that_a_more_urgent_task_waits_for(
    problem: tuple[Agents, list[Demand]],
) -> None:
    agents, demands = problem
    placed = fill(agents, demands, ENOUGH)
    for urgent, holders in zip(demands, placed, strict=True):
        if len(holders) == urgent.count:
            continue
        for other, others in zip(demands, placed, strict=True):
            if other.priority < urgent.priority:
                assert not np.isin(others, urgent.eligible).any()


def test_work_spreads_over_equal_agents_and_in_proportion_over_unequal_ones() -> None:
    agents = fleet([2, 4, 6])
    (holders,) = fill(agents, [Demand(array(0, 1, 2), 6)], ENOUGH)
    assert np.bincount(holders).tolist() == [1, 2, 3]


def test_fast_agents_and_the_preferred_zone_come_first_where_the_load_allows() -> None:
    agents = fleet([8, 8, 8], slowness=[100, 50, 100])
    assert fill(agents, [Demand(array(0, 1, 2), 1, size=4)], ENOUGH)[0].tolist() == [1]
    assert fill(agents, [Demand(array(0, 1, 2), 1, penalties=array(150, 150, 0))], ENOUGH)[0].tolist() == [2]


def test_tasks_that_could_go_elsewhere_leave_an_agent_to_those_that_could_not() -> None:
    """The picky ones come last here, since they have as many agents as the others; the fast agent is for them."""
    agents = fleet([1, 1, 1], slowness=[10, 90, 100])
    flexible, picky = Demand(array(0, 1), 1, size=8), Demand(array(0, 2), 1, size=80)
    assert [holders.tolist() for holders in fill(agents, [flexible, picky], ENOUGH)] == [[1], [0]]


def test_urgent_tasks_have_the_room_and_what_gives_way_goes_where_there_is_some() -> None:
    agents = fleet([1, 1])
    usual = Demand(array(0, 1), 1)
    urgent = Demand(array(0), 1, priority=9)
    idle = Demand(array(0, 1), 1, priority=0)
    assert [len(holders) for holders in fill(agents, [idle, usual, urgent], ENOUGH)] == [0, 1, 1]


def test_one_plan_gives_an_agent_with_endless_slots_a_bounded_number_of_tasks() -> None:
    (holders,) = fill(fleet([1 << 40, 3]), [Demand(array(0, 1), 1_000)], ENOUGH)
    assert np.bincount(holders).tolist() == [MOST_PER_AGENT, 3]


def test_the_table_of_costs_is_the_published_objective() -> None:
    agents = fleet([1, 3, 7, 32], used=[0, 1, 9, 5])
    books = _Books(agents, DEFAULT_WEIGHTS, 1_000)
    for costs, used, slots in zip(books._costs, agents.used.tolist(), agents.slots.tolist(), strict=True):
        assert costs.tolist() == [slot(DEFAULT_WEIGHTS, used + level, slots) for level in range(len(costs))]


SMALL = (1_000, 5_000, 3)
SMALL_OPTIMUM = 3_139_958
"""``python bench/plan.py --agents 1000 --tasks 5000 --seed 3`` prints it."""
SMALL_PLAN = "f9516cb255caa938"


def test_plans_are_near_the_optimum() -> None:
    instance = instances.from_json(instances.generate(*SMALL))
    least, _ = instances.cost(instance, ours(instance, 0))
    thorough, unplaced = instances.cost(instance, ours(instance, THOROUGH))
    assert unplaced == 0
    assert SMALL_OPTIMUM < thorough < least
    assert least < 1.03 * SMALL_OPTIMUM
    assert thorough < 1.015 * SMALL_OPTIMUM


def digest() -> str:
    """Of a whole plan, with every agent's name."""
    instance = instances.from_json(instances.generate(*SMALL))
    return hashlib.sha256(repr(sorted(ours(instance, QUICK).items())).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "features", ["", "X86_V4 AVX512_ICL AVX512_SPR", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"]
)
def test_the_plan_is_the_same_on_every_processor_and_under_every_hash_seed(features: str) -> None:
    program = f"from {__name__} import digest; print(digest())"
    assert printed_without(features, program) == SMALL_PLAN


def test_the_arrays_of_an_instance_say_what_it_says() -> None:
    content = {
        "agents": [
            {"agent_id": "b", "capabilities": ["x"], "slots": 2, "used": 1, "speed": 2.0, "zone": "east"},
            {
                "agent_id": "a",
                "capabilities": ["x", "y"],
                "slots": 3,
                "used": 0,
                "speed": 0.5,
                "zone": "west",
            },
        ],
        "tasks": [
            {"task_id": "1", "capabilities": ["x"], "size": 1, "zone": "east", "priority": 5},
            {"task_id": "2", "capabilities": ["x", "y"], "size": 1, "zone": "north", "priority": 5},
            {"task_id": "3", "capabilities": ["z"], "size": 1},
        ],
    }
    instance = instances.from_json(content)
    fleet = Fleet.of(instance)
    names, agents = fleet.names, fleet.agents
    demands, tasks = demands_of(instance, fleet)
    assert names == ["a", "b"]
    assert (agents.slots.tolist(), agents.used.tolist()) == ([3, 2], [0, 1])
    assert agents.slowness.tolist() == [200, 50]
    assert [demand.eligible.tolist() for demand in demands] == [[0, 1], [0], []]
    east, north, nowhere = (demand.penalties for demand in demands)
    assert east is not None
    assert north is not None
    assert nowhere is None
    assert east.tolist() == [150, 0]
    assert north.tolist() == [150, 150], "preferred in vain is preferred all the same"
    assert tasks == [["1"], ["2"], ["3"]]
