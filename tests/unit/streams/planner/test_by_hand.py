"""A plan that a person asked for is a plan like any other."""

from __future__ import annotations

import pytest

from models.fleet_records import CoordinationPlan, decode_fleet_record
from streams.planner import encode_plan, snapshot
from streams.planner.by_hand import plan_by_hand
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1")
    log.agent("a2")
    log.task("t1", priority=7)
    log.task("t2", requires={"capabilities": ["weld"]})
    return log


def plan_of(log: FleetLog, task_id: str, agent_id: str) -> CoordinationPlan:
    view = snapshot(log.fold, "default")
    assert view is not None
    return plan_by_hand(view, task_id, agent_id)


def test_it_gives_the_task_to_the_agent_that_was_named(log: FleetLog) -> None:
    said = log.append(encode_plan(plan_of(log, "t1", "a2")))
    assert (said.directive["task_id"], said.directive["agent_id"]) == ("t1", "a2")


def test_it_counts_all_that_is_pending_not_only_its_own_task(log: FleetLog) -> None:
    plan = plan_of(log, "t1", "a1")
    assert (sum(plan.pending.values()), plan.based_on, plan.priority) == (2, 3, 7)
    assert decode_fleet_record(encode_plan(plan)) == plan


def test_it_cannot_force_what_is_not_feasible(log: FleetLog) -> None:
    assert not log.append(encode_plan(plan_of(log, "t2", "a1")))
    assert log.fold.state.clock.refusals == {"capability": 1}


def test_there_is_no_plan_for_a_task_that_does_not_live(log: FleetLog) -> None:
    with pytest.raises(KeyError):
        plan_of(log, "t3", "a1")
