"""What became different between two states of a fleet."""

from __future__ import annotations

import pytest

from models.fleet import FleetFold
from streams.audit.differences import differences
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1")
    log.agent("a2")
    log.task("t1")
    return log


def as_of(log: FleetLog, offset: int) -> FleetFold:
    fold = FleetFold(0, 1)
    fold.fold(log.log[:offset])
    return fold


def test_equal_states_have_none(log: FleetLog) -> None:
    assert list(differences(log.fold, as_of(log, len(log.log)), "default")) == []


def test_each_thing_that_changed_is_named_with_the_fields_that_did(log: FleetLog) -> None:
    before = as_of(log, len(log.log))
    log.plan(("t1", "a1", 1))
    log.agent("a3")
    found = {(one["kind"], one["id"]): one for one in differences(before, log.fold, "default")}
    assert set(found) == {("agent", "a1"), ("agent", "a3"), ("task", "t1")}
    assert found["task", "t1"]["change"] == "changed"
    assert found["task", "t1"]["fields"]["state"] == ["pending", "assigned"]
    assert "task_id" not in found["task", "t1"]["fields"]
    assert found["agent", "a3"]["change"] == "added"
    assert found["agent", "a3"]["fields"]["agent_id"] == [None, "a3"]


def test_backwards_what_was_added_is_removed(log: FleetLog) -> None:
    nothing = FleetFold(0, 1)
    forth = list(differences(nothing, log.fold, "default"))
    back = list(differences(log.fold, nothing, "default"))
    assert [one["change"] for one in forth] == ["added"] * 3
    assert [one["change"] for one in back] == ["removed"] * 3
    assert [one["id"] for one in forth] == [one["id"] for one in back] == ["a1", "a2", "t1"]


def test_of_another_fleet_nothing_is_told(log: FleetLog) -> None:
    assert list(differences(FleetFold(0, 1), log.fold, "north")) == []
