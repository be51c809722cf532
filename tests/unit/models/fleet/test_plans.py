"""Applying plans: what still holds is issued, the rest is refused and counted, and nothing breaks."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent()
    log.task()
    return log


def refusals(log: FleetLog) -> dict[str, int]:
    return log.fold.state.clock.refusals


def test_a_plan_that_holds_is_applied(log: FleetLog) -> None:
    assert log.plan(("t1", "a1", 1)).directive["task_id"] == "t1"
    assert refusals(log) == {}


def test_a_doubled_plan_changes_nothing(log: FleetLog) -> None:
    log.plan(("t1", "a1", 1))
    assert not log.plan(("t1", "a1", 1))
    assert refusals(log) == {"not_pending": 1}


def test_a_plan_for_an_epoch_that_has_been_is_stale(log: FleetLog) -> None:
    directive = log.plan(("t1", "a1", 1)).directive
    log.agent("a2")
    log.answer(directive, "rejected")
    assert not log.plan(("t1", "a2", 1))
    assert refusals(log) == {"stale_epoch": 1}
    assert log.plan(("t1", "a2", 2)).directives()


def test_what_holds_is_applied_beside_what_does_not(log: FleetLog) -> None:
    log.task("t2")
    said = log.plan(("t9", "a1", 1), ("t1", "a9", 1), ("t1", "a1", 1), ("t2", "a1", 1))
    assert said.directive["task_id"] == "t1"
    assert refusals(log) == {"unknown_task": 1, "unknown_agent": 1, "no_credit": 1}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"kind": "agent_cordoned"}, "cordoned"),
        ({"kind": "agent_drained"}, "drained"),
        ({"kind": "agent_deregistered"}, "unknown_agent"),
        ({"kind": "status_update", "status": "offline"}, "offline"),
        ({"kind": "agent_registered", "slots": 0}, "slots"),
    ],
)
def test_an_agent_that_changed_after_the_plan_refuses_it(
    log: FleetLog, record: dict[str, str], reason: str
) -> None:
    log.fact(**record, agent_id="a1")  # type: ignore[arg-type]
    assert not log.plan(("t1", "a1", 1)).directives()
    assert refusals(log) == {reason: 1}


def test_a_plan_of_another_fleet_cannot_touch_this_one(log: FleetLog) -> None:
    assert not log.plan(("t1", "a1", 1), fleet="other")
    assert refusals(log) == {"unknown_task": 1}


def test_a_plan_is_accounted_as_applied_even_if_nothing_held(log: FleetLog) -> None:
    log.plan(("t9", "a1", 1))
    assert log.outcomes == {"applied": 3}
