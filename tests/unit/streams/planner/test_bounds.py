"""What a plan costs at the least: never more than any placement of the same tasks, and not much less."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import instances
from bench.plan import Fleet, demands_of
from models import objective
from models.objective import DEFAULT_WEIGHTS
from streams.planner.bounds import Placed, lower_bound, work_of
from streams.planner.waterfill import Agents, Ints, fill
from tests.unit.models.fleet.log import FleetLog
from tests.unit.streams.planner.test_placement import plan_of


def array(*numbers: int) -> Ints:
    return np.array(numbers, np.int64)


def cost(agents: Agents, placed: list[Placed]) -> int:
    total, used = 0, agents.used.tolist()
    for one in placed:
        for position in one.holders.tolist():
            total += objective.work(one.size, int(agents.slowness[position]))
            total += 0 if one.penalties is None else int(one.penalties[position])
            total += objective.slot(DEFAULT_WEIGHTS, used[position], int(agents.slots[position]))
            used[position] += 1
    return total


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Agents, list[Placed], list[Placed]]:
    """Agents, and the same tasks placed in two ways, each wherever there is a free slot."""
    count = draw(st.integers(1, 6))
    slots = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    used = [draw(st.integers(0, most)) for most in slots]
    speeds = st.lists(st.integers(1, 300), min_size=count, max_size=count)
    agents = Agents(array(*slots), array(*used), array(*draw(speeds)))
    penalties = array(*draw(st.lists(st.sampled_from([0, 150]), min_size=count, max_size=count)))
    kinds = [
        (
            array(*sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))),
            draw(st.sampled_from([0.1, 1.0, 3.3])),
            draw(st.sampled_from([None, penalties])),
            draw(st.integers(1, 4)),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    ways: list[list[Placed]] = [[], []]
    free = [[most - held for most, held in zip(slots, used, strict=True)] for _ in ways]
    for eligible, size, missed, wanted in kinds:
        chosen: list[list[int]] = [[], []]
        for _ in range(wanted):
            open_ = [[p for p in eligible.tolist() if left[p]] for left in free]
            if not all(open_):
                break
            for number, options in enumerate(open_):
                position = draw(st.sampled_from(options))
                free[number][position] -= 1
                chosen[number].append(position)
        if chosen[0]:
            for way, holders in zip(ways, chosen, strict=True):
                way.append(Placed(eligible, array(*holders), size, missed))
    return agents, ways[0], ways[1]


@settings(deadline=None)
@given(worlds())
def test_no_placement_of_the_same_tasks_costs_less(world: tuple[Agents, list[Placed], list[Placed]]) -> None:
    agents, one, other = world
    bound = lower_bound(agents, one, DEFAULT_WEIGHTS)
    assert bound <= cost(agents, one)
    assert bound <= cost(agents, other)


def test_of_one_kind_of_tasks_it_is_what_they_cost() -> None:
    agents = Agents(array(4, 2, 1), array(1, 0, 0), array(100, 50, 200))
    placed = [Placed(array(0, 1, 2), array(1, 0, 0), 1.0)]
    assert lower_bound(agents, placed, DEFAULT_WEIGHTS) == cost(agents, placed)


def test_it_is_close_to_a_good_plan_of_many_kinds() -> None:
    instance = instances.from_json(instances.generate(1_000, 5_000, 3))
    fleet = Fleet.of(instance)
    agents, (demands, _) = fleet.agents, demands_of(instance, fleet)
    holders = fill(agents, demands, 10**9)
    placed = [
        Placed(demand.eligible, found, demand.size, demand.penalties)
        for demand, found in zip(demands, holders, strict=True)
        if len(found)
    ]
    assert work_of(placed) < 10**7
    assert 0.93 < lower_bound(agents, placed, DEFAULT_WEIGHTS) / cost(agents, placed) < 1


def test_nothing_placed_costs_nothing() -> None:
    assert lower_bound(Agents(array(1), array(0), array(100)), [], DEFAULT_WEIGHTS) == 0


def test_a_plan_says_its_bound_unless_the_budget_is_used_up() -> None:
    log = FleetLog()
    for number in range(3):
        log.agent(f"a{number}", slots=2)
    for number in range(8):
        log.task(f"t{number}")
    plan = plan_of(log, 100_000)
    assert plan is not None
    assert plan.objective == plan.bound
    assert plan.objective > 2 * DEFAULT_WEIGHTS.unplaced
    short = plan_of(log, 5_000)
    assert short is not None
    assert short.bound is None


def test_a_report_says_how_far_from_the_best_plans_are() -> None:
    log = FleetLog()
    for number in range(3):
        log.agent(f"a{number}", slots=2)
    for number in range(8):
        log.task(f"t{number}", slots=1 + number % 2)
    log.place()
    start = log.now // 10_000 * 10
    log.own("window_closed", start=start, end=start + 10, agents={})
    (report,) = log.wait(30_000).reports()
    plans = report["plans"]
    assert plans["count"] == 1
    assert 0 < plans["bound"] <= plans["cost"]
    assert plans["gap"] == plans["cost"] / plans["bound"] - 1


def test_agents_of_very_many_slots_are_not_looked_at_slot_by_slot() -> None:
    agents = Agents(array(100_000, 100_000), array(0, 0), array(1, 100_000))
    placed = [Placed(array(0, 1), array(1), 1_000.0)]
    bound = lower_bound(agents, placed, DEFAULT_WEIGHTS)
    assert bound <= cost(agents, [Placed(array(0, 1), array(0), 1_000.0)])
