"""Dividing what a fleet has among tenants: fair by weight, within quotas, never more than there is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.planner.allocation import max_min, resources
from tests.unit.models.fleet.log import FleetLog

NAMES = ["a", "b", "c", "d"]
amounts = st.integers(0, 40)


def exactly(capacity: int, wants: dict[str, int], weights: dict[str, int]) -> dict[str, Fraction]:
    """The same in fractions, by raising one level until everybody is content or all is given away."""
    levels = sorted({Fraction(want, weights[name]) for name, want in wants.items()})
    level = Fraction(0)
    for top in levels:
        given_ = sum(min(Fraction(want), level * weights[name]) for name, want in wants.items())
        slope = sum(weights[name] for name, want in wants.items() if want > level * weights[name])
        reach = level + (Fraction(capacity) - given_) / slope if slope else top
        level = min(top, reach)
    return {name: min(Fraction(want), level * weights[name]) for name, want in wants.items()}


@given(
    st.integers(0, 100),
    st.dictionaries(st.sampled_from(NAMES), amounts, min_size=1),
    st.fixed_dictionaries({name: st.integers(1, 5) for name in NAMES}),
)
def test_shares_are_those_of_exact_max_min_but_for_rounding(
    capacity: int, wants: dict[str, int], weights: dict[str, int]
) -> None:
    shares = max_min(capacity, wants, weights)
    assert sum(shares.values()) == min(capacity, sum(wants.values()))
    for name, share in exactly(capacity, wants, weights).items():
        assert abs(shares[name] - share) <= 1


@pytest.mark.parametrize(
    ("capacity", "wants", "weights", "shares"),
    [
        (10, {"a": 2, "b": 8, "c": 8}, {}, {"a": 2, "b": 4, "c": 4}),
        (10, {"a": 9, "b": 9}, {"a": 4}, {"a": 8, "b": 2}),
        (10, {"a": 1, "b": 1}, {}, {"a": 1, "b": 1}),
        (7, {"a": 9, "b": 9}, {}, {"a": 4, "b": 3}),
        (0, {"a": 9}, {}, {"a": 0}),
    ],
)
def test_who_wants_less_leaves_the_rest_to_others(
    capacity: int, wants: dict[str, int], weights: dict[str, int], shares: dict[str, int]
) -> None:
    assert max_min(capacity, wants, weights) == shares


@pytest.fixture
def log() -> FleetLog:
    """Ten slots and two GPUs; ``x`` wants a lot, ``y`` little."""
    log = FleetLog()
    log.agent("a1", slots=6, resources={"gpu": 2})
    log.agent("a2", slots=4)
    for number in range(9):
        log.task(f"x{number}", tenant="x")
    log.task("y0", tenant="y", requires={"resources": {"gpu": 0.5}})
    return log


def proposed(log: FleetLog, resource: str = "slots") -> dict[str, float]:
    tenants = resources(log.fold, "default")["pools"][resource]["tenants"]
    return {tenant: use["proposed"] for tenant, use in tenants.items()}


def test_pools_say_what_there_is_and_who_has_and_wants_it(log: FleetLog) -> None:
    log.plan(("x0", "a1", 1), ("y0", "a1", 1))
    pools = resources(log.fold, "default")["pools"]
    assert {name: (pool["capacity"], pool["held"], pool["wanted"]) for name, pool in pools.items()} == {
        "gpu": (2, 0.5, 0),
        "slots": (10, 2, 8),
    }
    assert pools["slots"]["tenants"]["x"]["held"] == 1
    assert pools["gpu"]["tenants"]["y"] == {
        "held": 0.5,
        "wanted": 0,
        "quota": None,
        "allocation": None,
        "proposed": 2,
    }


def test_what_nobody_wants_is_headroom(log: FleetLog) -> None:
    assert proposed(log) == {"x": 9, "y": 1}
    log.fact("task_cancelled", task_id="x0")
    log.fact("task_cancelled", task_id="x1")
    assert proposed(log) == {"x": 8, "y": 2}


def test_where_there_is_not_enough_weights_decide(log: FleetLog) -> None:
    for number in range(1, 9):
        log.task(f"y{number}", tenant="y")
    assert proposed(log) == {"x": 5, "y": 5}
    log.fact("policy_changed", version=1, policy={"planning": {"tenants": {"x": 4}}})
    assert proposed(log) == {"x": 8, "y": 2}


def test_quotas_bound_it_and_agents_that_get_no_work_do_not_count(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"planning": {"quotas": {"x": {"slots": 2}}}})
    assert proposed(log) == {"x": 2, "y": 8}
    log.fact("agent_cordoned", agent_id="a1")
    assert proposed(log) == {"x": 2, "y": 2}


def test_work_without_a_tenant_keeps_its_share(log: FleetLog) -> None:
    for number in range(9):
        log.task(f"n{number}")
    assert proposed(log) == {"": 5, "x": 4, "y": 1}
    assert "" not in resources(log.fold, "default")["patch"]["planning"]["allocations"]


def test_what_is_proposed_can_be_put_into_force_and_then_changes_nothing(log: FleetLog) -> None:
    proposal = resources(log.fold, "default")
    assert proposal["patch"] == {
        "planning": {"allocations": {"x": {"slots": 9}, "y": {"gpu": 2, "slots": 1}}}
    }
    said = log.fact("policy_changed", version=proposal["version"], policy=proposal["patch"])
    assert not said.rejections
    assert resources(log.fold, "default")["patch"] is None
    assert len(log.place().directives()) == 10


def test_who_is_gone_loses_its_allocation(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"planning": {"allocations": {"z": {"gpu": 1}}}})
    patch: Any = resources(log.fold, "default")["patch"]
    assert patch["planning"]["allocations"]["z"] is None


def test_a_fleet_that_nobody_knows_has_nothing() -> None:
    assert resources(FleetLog().fold, "nobody") == {
        "fleet": "nobody",
        "pools": {},
        "patch": None,
        "version": 1,
    }


def test_each_tenant_has_what_one_of_its_tasks_needs(log: FleetLog) -> None:
    log.task("z0", tenant="z", slots=6)
    for number in range(20):
        log.task(f"w{number}", tenant=f"w{number:02}")
    shares = proposed(log)
    assert shares["z"] == 6
    assert all(share >= 1 for share in shares.values())


def test_of_what_nobody_can_have_now_nothing_is_proposed(log: FleetLog) -> None:
    log.fact("agent_cordoned", agent_id="a1")
    log.fact("agent_cordoned", agent_id="a2")
    assert proposed(log) == {"x": None, "y": None}
    assert resources(log.fold, "default")["patch"] is None
