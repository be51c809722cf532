"""Policy changes through the fleet log."""

from __future__ import annotations

import orjson
import pytest

from models.events import PolicyAccepted, decode_event
from models.policy import patched
from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    return FleetLog(events_partitions=3)


def test_an_accepted_policy_is_echoed_to_every_events_partition(log: FleetLog) -> None:
    said = log.fact("policy_changed", policy={"deliveries": 2}, version=1)
    assert [(output.topic, output.partition) for output in said.outputs] == [("events", n) for n in range(3)]
    echo = decode_event(said.outputs[0].value)
    assert isinstance(echo, PolicyAccepted)
    current = log.fold.state.fleets["default"].policy
    assert (current.deliveries, current.version) == (2, 1)
    assert patched(current, echo.policy, echo.version) == current


def test_a_patch_changes_what_it_names(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"deliveries": 2}, version=1)
    log.fact("policy_changed", policy={"retry": {"base": 5}}, version=2)
    policy = log.fold.state.fleets["default"].policy
    assert (policy.deliveries, policy.retry.base, policy.retry.factor) == (2, 5_000, 2.0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_does_not_rise_is_rejected(log: FleetLog, version: int) -> None:
    log.fact("policy_changed", policy={"deliveries": 2}, version=2)
    said = log.fact("policy_changed", policy={"deliveries": 3}, version=version)
    assert said.rejections == ["stale_policy"]
    assert log.fold.state.fleets["default"].policy.deliveries == 2


def test_a_policy_that_makes_no_sense_is_rejected_and_named(log: FleetLog) -> None:
    said = log.fact("policy_changed", policy={"deliverys": 2}, version=1)
    assert said.rejections == ["invalid_policy"]
    assert "deliverys" in said.alerts()[0]["detail"]
    assert log.fold.state.fleets["default"].policy.version == 0


def test_a_policy_holds_for_its_fleet_alone(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"deliveries": 1}, version=1)
    log.agent(fleet="other")
    assert log.fold.state.fleets["other"].policy.deliveries == 20


def test_a_policy_survives_a_restart(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"deliveries": 2, "retry": {"base": 5}}, version=4)
    again = restored_from(rows_of(log.fold), 3)
    assert again.state.fleets["default"].policy == log.fold.state.fleets["default"].policy


def test_limits_of_the_policy_decide(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"deliveries": 1}, version=1)
    result = log.answer(log.assigned(), "rejected", reason="no").result
    assert result["reason"] == "undeliverable: no"


def test_the_echo_is_json_with_the_whole_policy(log: FleetLog) -> None:
    said = log.fact("policy_changed", policy={"deliveries": 2}, version=1)
    value = orjson.loads(said.outputs[0].value or b"")
    assert list(value) == ["type", "fleet", "policy", "version"]
    assert value["policy"]["task_memory"] == 604_800
