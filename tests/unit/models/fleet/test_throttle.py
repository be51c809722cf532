"""Agents on which too many tasks end badly get fewer at once, and are told how many."""

from __future__ import annotations

from typing import Any

import pytest

from models.fleet.explain import explain_agent
from models.fleet.views import agent, agent_states
from tests.unit.models.fleet.log import FleetLog, Said


@pytest.fixture
def log() -> FleetLog:
    """Eleven agents of eight slots each: one in ten may be throttled."""
    log = FleetLog()
    for number in range(11):
        log.agent(f"a{number}", slots=8)
    return log


def window(log: FleetLog, good: int, bad: int, agent_id: str = "a1") -> Said:
    """So many tasks end on the agent, good and bad in turn, then its window closes."""
    start = log.now
    outcomes = ["completed", "failed"] * min(good, bad)
    outcomes += ["completed"] * (good - bad) + ["failed"] * (bad - good)
    for number, outcome in enumerate(outcomes):
        log.answer(log.run(f"{agent_id}-{start}-{number}", agent_id, max_attempts=1), outcome)
    log.wait(15_000)
    aggregate = {"count": 10, "sum": 0.0, "mean": 0.0, "min": 0.0, "max": 0.0, "last": 0.0}
    begin = start / 1000
    return log.own("window_closed", start=begin, end=begin + 10, agents={agent_id: {"cpu": aggregate}})


def slots(log: FleetLog, agent_id: str = "a1") -> dict[str, Any]:
    explanation: Any = explain_agent(log.fold, "default", agent_id)
    found: dict[str, Any] = explanation["slots"]
    return found


def test_who_fails_at_half_of_its_tasks_gets_half_as_many_at_once(log: FleetLog) -> None:
    said = window(log, good=3, bad=3)
    (alert,) = said.alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("agent_throttled", "a1", "errors")
    assert (alert["errors"], alert["ended"], alert["slots"], alert["usable"]) == (0.5, 6, 8, 4)
    assert (said.directive["type"], said.directive["payload"]) == ("throttle", {"slots": 4})
    assert slots(log) == {"total": 8, "usable": 4, "held": 0, "bounds": {"throttled": 4}}
    shown: Any = agent(log.fold, "default", "a1")
    assert agent_states(shown) == ["throttled", "idle"]
    assert not window(log, good=3, bad=3).alerts()
    assert slots(log)["usable"] == 2


def test_half_again_and_again_but_one_is_left(log: FleetLog) -> None:
    for _ in range(6):
        said = window(log, good=3, bad=3)
    assert slots(log)["usable"] == 1
    assert not said.directives()


def test_one_at_a_time_it_gets_them_back(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    told = [window(log, good=5, bad=1).directive["payload"] for _ in range(4)]
    assert told == [{"slots": 5}, {"slots": 6}, {"slots": 7}, None]
    assert slots(log)["bounds"] == {}


def test_people_are_told_when_it_begins_and_when_it_is_over(log: FleetLog) -> None:
    alerts = [window(log, good=3, bad=3).alerts() for _ in range(2)]
    alerts += [window(log, good=6, bad=0).alerts() for _ in range(6)]
    assert [alert["type"] for said in alerts for alert in said] == ["agent_throttled", "throttle_lifted"]


def test_few_tasks_say_nothing_but_are_remembered(log: FleetLog) -> None:
    assert not window(log, good=2, bad=2)
    assert window(log, good=0, bad=1).alerts("agent_throttled")


@pytest.mark.parametrize(("good", "bad"), [(4, 3), (9, 1)])
def test_less_than_half_is_forgiven(log: FleetLog, good: int, bad: int) -> None:
    assert not window(log, good=good, bad=bad)


def test_no_more_than_a_share_of_the_fleet_is_throttled(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    assert not window(log, good=3, bad=3, agent_id="a2")
    assert slots(log, "a2")["usable"] == 8


def test_an_unanswered_throttle_is_repeated_and_leaves_a_drain_alone(log: FleetLog) -> None:
    first = window(log, good=3, bad=3).directive
    drain = log.fact("agent_drained", agent_id="a1").directive
    said = log.wait(10_000)
    kinds = [(directive["type"], directive["payload"]) for directive in said.directives()]
    assert kinds == [("throttle", {"slots": 4}), ("drain", None)]
    assert first["directive_id"] != said.directives()[0]["directive_id"] != drain["directive_id"]


def test_a_newer_throttle_takes_the_place_of_an_older_one(log: FleetLog) -> None:
    old = window(log, good=3, bad=3).directive
    window(log, good=5, bad=0)
    assert log.answer(old, "completed").rejections == ["not_live"]


def test_an_operator_who_vouches_for_the_agent_lifts_it(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    said = log.fact("agent_uncordoned", agent_id="a1")
    assert (said.directive["type"], said.directive["payload"]) == ("throttle", None)
    assert slots(log)["usable"] == 8


def test_an_agent_of_one_slot_is_left_to_its_breaker(log: FleetLog) -> None:
    log.agent("small", slots=1)
    assert not window(log, good=3, bad=3, agent_id="small")


def test_a_restored_fold_goes_on_alike(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    log.fold.restored()
    log.fold.validate()
    assert slots(log)["usable"] == 4
    assert not window(log, good=3, bad=3, agent_id="a2")


def test_an_idle_agent_may_take_one_task_however_large(log: FleetLog) -> None:
    for _ in range(3):
        window(log, good=3, bad=3)
    assert slots(log)["usable"] == 1
    log.task("large", slots=3)
    directive = log.plan(("large", "a1", 1)).directive
    log.task("small")
    assert log.plan(("small", "a1", 1)).directives() == []
    log.answer(directive, "completed")
    assert log.plan(("small", "a1", 1)).directives()


def test_windows_without_an_error_lift_it_though_few_tasks_end(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    bounds = []
    for _ in range(4):
        window(log, good=1, bad=0)
        bounds.append(slots(log)["usable"])
    assert bounds == [5, 6, 7, 8]


def test_who_reports_nothing_any_more_is_bounded_no_more(log: FleetLog) -> None:
    window(log, good=3, bad=3)
    log.wait(30_000)
    start = log.now // 10_000 * 10
    log.own("window_closed", start=start, end=start + 10, agents={})
    said = log.wait(30_000)
    assert slots(log)["bounds"] == {}
    assert said.directives("throttle")[-1]["payload"] is None


def test_where_the_share_is_zero_nobody_is_throttled(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"breaker": {"share": 0}})
    assert not window(log, good=3, bad=3)
