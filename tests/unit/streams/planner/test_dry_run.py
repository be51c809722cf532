"""Dry runs: what they say is what the next plan does, and nothing changes by asking."""

from __future__ import annotations

from typing import Any

import pytest

from models.codec import InvalidRecord
from streams.planner import WaterFillPlanner
from streams.planner.dry_run import dry_run
from streams.planner.placement import DEFAULT_BUDGET
from tests.unit.models.fleet.log import FleetLog, rows_of


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1", slots=2, zone="east")
    log.agent("a2", slots=2, zone="west", capabilities=["plan"])
    return log


def asked(log: FleetLog, patch: dict[str, object] | None = None) -> dict[str, Any]:
    before = rows_of(log.fold)
    answer: dict[str, Any] = dry_run(log.fold, "default", WaterFillPlanner(), DEFAULT_BUDGET, patch)
    assert rows_of(log.fold) == before
    return answer


def test_a_dry_run_tells_what_the_next_plan_does_and_why_the_others_wait(log: FleetLog) -> None:
    for number in range(3):
        log.task(f"t{number}")
    log.task("crew", coalition={"roles": [{"role": "lead", "capabilities": ["plan"]}]})
    log.task("never", requires={"labels": {"x": "y"}})
    log.task("more", priority=0)
    answer = asked(log)
    told = [(entry["task_id"], [one["agent_id"] for one in entry["agents"]]) for entry in answer["entries"]]
    done = [(d["task_id"], [d["agent_id"]]) for d in log.place().directives()]
    assert told == done
    assert answer["placed"] == len(done) == 4
    assert answer["pending"] == {"capacity": 1, "impossible": 1}
    assert asked(log)["entries"] == []


def test_what_backs_off_and_what_nobody_looked_at_is_told_apart(
    log: FleetLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.task("t1")
    directive = log.place().directive
    log.answer(directive, "failed")
    log.task("t2", requires={"labels": {"x": "y"}})
    log.task("t3", requires={"labels": {"x": "z"}})
    assert asked(log)["pending"] == {"backoff": 1, "impossible": 2}
    monkeypatch.setattr("streams.planner.dry_run.MOST_LOOKS", 1)
    assert asked(log)["pending"] == {"backoff": 1, "impossible": 1, "not_looked_at": 1}


def test_what_a_quota_would_hold_back_is_told_as_of_then(log: FleetLog) -> None:
    for number in range(3):
        log.task(f"x{number}", tenant="x")
    answer = asked(log, {"planning": {"quotas": {"x": {"slots": 1}}}})
    assert (answer["placed"], answer["pending"]) == (3, {})
    assert (answer["if"]["placed"], answer["if"]["pending"]) == (1, {"quota": 2})


def test_another_policy_shows_in_what_it_would_change(log: FleetLog) -> None:
    for number in range(2):
        log.task(f"t{number}", prefer={"zone": "east"})
    answer = asked(log, {"planning": {"objective": {"wrong_zone": 10_000}}})
    ((differs),) = answer["differs"]
    assert differs["task_id"] in ("t0", "t1")
    assert (differs["now"][0]["agent_id"], differs["if"][0]["agent_id"]) == ("a2", "a1")
    assert asked(log, {})["differs"] == []


def test_a_patch_that_is_none_is_refused(log: FleetLog) -> None:
    with pytest.raises(InvalidRecord, match="lode"):
        asked(log, {"planning": {"objective": {"lode": 1}}})


def test_a_fleet_that_nobody_has_used_has_no_plan() -> None:
    answer = dry_run(FleetLog().fold, "other", WaterFillPlanner(), DEFAULT_BUDGET)
    assert answer["entries"] == []
