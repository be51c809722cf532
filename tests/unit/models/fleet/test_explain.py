"""Explanations: one word for why, counts that sum to the agents, and the nearest agent."""

from __future__ import annotations

import pytest

from models.fleet.explain import explain, explain_agent, explain_coalition
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_each_agent_is_counted_under_its_first_reason(log: FleetLog) -> None:
    log.agent("a1")
    log.agent("a2", capabilities=["weld"])
    log.agent("a3", capabilities=["weld"], labels={"site": "north"})
    log.agent("a4", capabilities=["weld"], labels={"site": "north"}, resources={"gas": 5})
    log.agent("a5", capabilities=["weld"], labels={"site": "north"}, resources={"gas": 5}, slots=2)
    log.fact("agent_cordoned", agent_id="a5")
    log.agent("a6")
    log.fact("agent_deregistered", agent_id="a6")
    requires = {"capabilities": ["weld"], "labels": {"site": "north"}, "resources": {"gas": 2}}
    log.task(requires=requires, slots=2)
    explanation = log.explain()
    assert explanation["agents"] == 5
    assert explanation["counts"] == {"capability": 1, "label": 1, "resource": 1, "slots": 1, "cordoned": 1}
    assert explanation["nearest"]["agent_id"] == "a5"
    assert explanation["reason"] == "unavailable"


def test_without_agents_every_task_is_impossible(log: FleetLog) -> None:
    log.task()
    assert (log.explain()["reason"], log.explain()["agents"], log.explain()["counts"]) == (
        "impossible",
        0,
        {},
    )
    assert log.explain()["nearest"] is None


def test_a_task_that_somebody_could_take_waits_for_the_plan(log: FleetLog) -> None:
    log.agent()
    log.task()
    assert log.explain()["reason"] == "waiting_for_plan"
    assert log.explain()["counts"] == {"eligible": 1}


def test_a_task_for_which_nobody_has_room_waits_for_capacity(log: FleetLog) -> None:
    log.running()
    log.task("t2")
    log.task("t3", priority=9)
    assert log.explain("t2")["reason"] == "capacity"
    assert log.explain("t2")["counts"] == {"no_credit": 1}
    assert log.explain("t2")["ahead_in_class"] == 1


def test_a_running_task_says_where(log: FleetLog) -> None:
    directive = log.running()
    explanation = log.explain()
    assert (explanation["state"], explanation["reason"]) == ("running", "running")
    assert (explanation["agent_id"], explanation["directive_id"]) == ("a1", directive["directive_id"])
    assert sum(explanation["counts"].values()) == 1


def test_an_ended_task_says_how_it_ended(log: FleetLog) -> None:
    log.answer(log.running(max_attempts=1), "failed", reason="no disk")
    explanation = log.explain()
    assert (explanation["state"], explanation["reason"]) == ("failed", "no disk")
    assert sum(explanation["counts"].values()) == explanation["agents"] == 1


def test_an_unknown_task_has_no_explanation(log: FleetLog) -> None:
    assert explain(log.fold, "default", "t1") is None
    log.agent()
    assert explain(log.fold, "default", "t1") is None


def test_an_explanation_says_as_of_when(log: FleetLog) -> None:
    log.agent()
    log.task()
    assert log.explain()["as_of"] == {"offset": 1, "time": log.now / 1000}


def test_why_an_agent_gets_the_work_that_it_gets(log: FleetLog) -> None:
    log.agent(slots=2, capabilities=["saw"], resources={"gpu": 1})
    log.task("t1")
    log.plan(("t1", "a1", 1))
    log.task("t2")
    log.task("t3", slots=2)
    log.task("t4", requires={"capabilities": ["weld"]})
    log.task("t5", requires={"resources": {"gpu": 2}})
    log.task("t6", coalition={"cover": ["weld"]})
    explained = explain_agent(log.fold, "default", "a1")
    assert explained is not None
    assert explained["reason"] == "available"
    assert explained["counts"] == {"capability": 2, "resource": 1, "no_credit": 1, "eligible": 1}
    assert explained["pending"] == 5
    log.plan(("t2", "a1", 1))
    assert (explain_agent(log.fold, "default", "a1") or {})["reason"] == "full"
    log.fact("agent_cordoned", agent_id="a1")
    explained = explain_agent(log.fold, "default", "a1")
    assert explained is not None
    assert (explained["reason"], explained["counts"]) == (
        "cordoned",
        {"capability": 2, "resource": 1, "cordoned": 1},
    )
    log.fact("agent_deregistered", agent_id="a1")
    assert (explain_agent(log.fold, "default", "a1") or {})["reason"] == "deregistered"
    assert explain_agent(log.fold, "default", "nobody") is None
    assert explain_agent(log.fold, "other", "a1") is None


def test_what_a_coalition_waits_for(log: FleetLog) -> None:
    log.agent("a1", capabilities=["plan"])
    for name in ("a2", "a3"):
        log.agent(name)
    log.task(coalition={"roles": [{"role": "lead", "capabilities": ["plan"]}, {"role": "hand", "count": 2}]})
    joins = log.place().directives()
    name = joins[0]["coalition"]["id"]
    explained = explain_coalition(log.fold, "default", name)
    assert explained is not None
    assert (explained["state"], explained["reason"], explained["counts"]) == (
        "forming",
        "forming",
        {"member": 3},
    )
    log.answer(next(join for join in joins if join["agent_id"] == "a2"), "rejected")
    log.agent("a4", slots=0)
    explained = explain_coalition(log.fold, "default", name)
    assert explained is not None
    assert (explained["state"], explained["missing"]) == ("degraded", {"hand": 1})
    assert explained["counts"] == {"member": 2, "slots": 1, "cooling_down": 1}
    assert explained["agents"] == 4
    log.fact("task_cancelled", task_id="t1")
    explained = explain_coalition(log.fold, "default", name)
    assert explained is not None
    assert (explained["state"], explained["reason"]) == ("dissolved", "task_cancelled")
    assert explain_coalition(log.fold, "default", "nobody") is None


def test_a_placed_task_says_what_its_place_costs_and_what_others_would() -> None:
    log = FleetLog()
    log.agent("a1", slots=2, zone="far")
    log.agent("a2", slots=2, zone="near")
    log.agent("a3", slots=1, zone="near")
    log.agent("full", slots=0, zone="near")
    log.task("t1", size=3, prefer={"zone": "near", "labels": {"disk": "fast"}})
    assert "placement" not in log.explain("t1")
    log.plan(("t1", "a1", 1))
    log.task("t2")
    log.plan(("t2", "a2", 1))
    placement = log.explain("t1")["placement"]
    here = {"agent_id": "a1", "cost": 800, "work": 300, "zone": 150, "labels": 150, "spread": 0, "load": 200}
    assert placement == {
        **here,
        "alternatives": [
            {"agent_id": "a3", "cost": 850, "work": 300, "zone": 0, "labels": 150, "spread": 0, "load": 400},
            {"agent_id": "a2", "cost": 1050, "work": 300, "zone": 0, "labels": 150, "spread": 0, "load": 600},
        ],
        "eligible": 2,
        "cheaper": 0,
    }


def test_a_task_of_a_coalition_has_no_single_place() -> None:
    log = FleetLog()
    log.agent("a1")
    log.agent("a2")
    log.task("t1", coalition={"roles": [{"role": "x", "count": 2}]})
    assert log.place().directives("join_coalition")
    assert "placement" not in log.explain("t1")
