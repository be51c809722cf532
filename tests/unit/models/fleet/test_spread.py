"""Tasks of a group keep apart: by agent, zone or label; strictly where they say how many are enough."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from models.fleet.explain import explain_agent
from tests.unit.models.fleet.log import FleetLog

PLACES = {"a1": ("east", "r1"), "a2": ("east", "r2"), "b1": ("west", "r1"), "b2": (None, "r3")}


@pytest.fixture
def log() -> FleetLog:
    """Four agents of four slots each, two of them in one zone, two in one rack, one without a zone."""
    log = FleetLog()
    for name, (zone, rack) in PLACES.items():
        log.agent(name, slots=4, zone=zone, labels={"rack": rack})
    return log


def spread(by: str = "agent", most: int | None = None, group: str = "g") -> dict[str, object]:
    return {"spread": {"group": group, "by": by, **({} if most is None else {"most": most})}}


def placed(log: FleetLog) -> dict[str, str]:
    """Agent of each task that is placed now."""
    return {directive["task_id"]: directive["agent_id"] for directive in log.place().directives()}


@pytest.mark.parametrize(("by", "most", "places"), [("agent", 1, 4), ("zone", 1, 3), ("labels.rack", 1, 3)])
def test_no_more_than_so_many_go_to_one_place(log: FleetLog, by: str, most: int, places: int) -> None:
    for number in range(6):
        log.task(f"t{number}", **spread(by, most))
    where = placed(log).values()
    assert len(where) == places
    index = {"agent": lambda a: a, "zone": lambda a: PLACES[a][0], "labels.rack": lambda a: PLACES[a][1]}[by]
    assert set(Counter(index(agent) for agent in where).values()) == {most}
    assert not log.place()


def test_without_a_bound_they_only_avoid_each_other(log: FleetLog) -> None:
    for number in range(8):
        log.task(f"t{number}", **spread())
    assert Counter(placed(log).values()) == dict.fromkeys(PLACES, 2)


def test_zones_fill_evenly_though_one_has_more_agents(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"planning": {"objective": {"crowded": 10_000}}})
    for number in range(6):
        log.task(f"t{number}", **spread("zone"))
    assert Counter(PLACES[agent][0] for agent in placed(log).values()) == {"east": 2, "west": 2, None: 2}


def test_each_group_is_on_its_own(log: FleetLog) -> None:
    for number in range(4):
        log.task(f"g{number}", **spread(most=1, group="g"))
        log.task(f"h{number}", **spread(most=1, group="h"))
    assert len(placed(log)) == 8


def test_the_next_one_goes_when_one_has_ended(log: FleetLog) -> None:
    log.task("t1", **spread("zone", 1))
    first = log.plan(("t1", "a1", 1)).directive
    log.task("t2", **spread("zone", 1))
    assert not log.plan(("t2", "a2", 1)).directives()
    log.answer(first, "completed")
    assert log.plan(("t2", "a2", 1)).directive["agent_id"] == "a2"


def test_what_an_agent_has_not_let_go_of_counts(log: FleetLog) -> None:
    log.task("t1", **spread("zone", 1))
    log.plan(("t1", "a1", 1))
    log.task("t2", **spread("zone", 1))
    withdrawal = log.fact("task_cancelled", task_id="t1").directive
    assert not log.plan(("t2", "a2", 1)).directives()
    log.answer(withdrawal, "completed")
    assert log.plan(("t2", "a2", 1)).directives()


def test_a_task_that_waits_for_its_group_says_so(log: FleetLog) -> None:
    log.task("t1", **spread("zone", 1))
    log.plan(("t1", "a1", 1))
    log.fact("agent_cordoned", agent_id="b1")
    log.fact("agent_cordoned", agent_id="b2")
    log.task("t2", **spread("zone", 1))
    explanation = log.explain("t2")
    assert explanation["counts"] == {"cordoned": 2, "spread": 2}
    assert explanation["reason"] == "spread"
    assert explanation["nearest"]["reason"] == "spread"
    assert explanation["spread"] == {"group": "g", "by": "zone", "most": 1}
    about_agent: Any = explain_agent(log.fold, "default", "a2")
    assert about_agent["counts"] == {"spread": 1}
    assert not log.place()


def test_of_a_placed_task_the_others_of_its_group_cost(log: FleetLog) -> None:
    for number, agent in enumerate(("a1", "a1", "b1")):
        log.task(f"t{number}", **spread("zone"))
        log.plan((f"t{number}", agent, 1))
    placement = log.explain("t0")["placement"]
    assert placement["spread"] == 150
    costs = {place["agent_id"]: place["spread"] for place in placement["alternatives"]}
    assert costs == {"a2": 150, "b1": 150, "b2": 0}


def test_a_task_may_move_within_its_place(log: FleetLog) -> None:
    """Its own presence does not keep it from where it is."""
    log.fact("policy_changed", version=1, policy={"rebalancing": {"moves": 1}})
    log.run("t1", "a1", **spread("zone", 1))
    move = {"type": "move_task", "task_id": "t1", "from_agent": "a1", "agent_id": "a2", "epoch": 2}
    assert [d["agent_id"] for d in log.propose(move).directives("assign_task")] == ["a2"]


def test_an_agent_takes_its_tasks_along_to_another_zone(log: FleetLog) -> None:
    log.run("t1", "a1", **spread("zone", 1))
    log.task("t2", **spread("zone", 1))
    assert log.explain("t2")["counts"] == {"spread": 2, "eligible": 2}
    log.agent("a1", slots=4, zone="west", labels={"rack": "r1"})
    assert log.explain("t2")["counts"] == {"spread": 2, "eligible": 2}
    assert log.plan(("t2", "b1", 1)).directives() == []
    assert log.plan(("t2", "a2", 1)).directive["agent_id"] == "a2"


def test_hundreds_that_must_not_go_anywhere_cost_the_planner_little(log: FleetLog) -> None:
    for number in range(300):
        log.task(f"t{number}", **spread("zone", 1))
    log.task("free")
    assert len(placed(log)) == 4
    log.task("another")
    assert list(placed(log)) == ["another"]


def test_a_coalition_is_no_group() -> None:
    log = FleetLog()
    said = log.task("t1", coalition={"cover": ["x"]}, **spread())
    assert [output.topic for output in said.outputs][:1] == ["dead-letters"]


def test_a_restored_fold_knows_who_is_where(log: FleetLog) -> None:
    log.run("t1", "a1", **spread("zone", 1))
    log.fold.restored()
    log.fold.validate()
    log.task("t2", **spread("zone", 1))
    assert log.explain("t2")["counts"] == {"spread": 2, "eligible": 2}


def test_a_group_that_nobody_holds_leaves_no_trace(log: FleetLog) -> None:
    for number in range(5):
        log.task(f"t{number}", **spread("zone", 1, group=f"g{number}"))
        log.explain(f"t{number}")
        log.fact("task_cancelled", task_id=f"t{number}")
    assert log.fold.state.fleets["default"].groups._counts == {}
