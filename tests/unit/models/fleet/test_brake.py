"""The brake on mass failure: many who fall silent together keep their work; few do not."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog, Said

AGENTS = [f"a{number:02}" for number in range(20)]


@pytest.fixture
def log() -> FleetLog:
    """A fleet of twenty, all at work."""
    log = FleetLog()
    for name in AGENTS:
        log.agent(name)
        log.task(f"task-{name}")
        directive = log.plan((f"task-{name}", name, 1)).directive
        log.answer(directive, "accepted")
    return log


def fall_silent(log: FleetLog, count: int) -> list[Said]:
    for name in AGENTS[:count]:
        log.own("agent_suspected", agent_id=name)
    log.tick(6_000)
    return [log.own("agent_lost", agent_id=name, silence=12_000) for name in AGENTS[:count]]


def pending(log: FleetLog) -> int:
    return sum(row.state == "pending" for row in log.fold.state.tables.tasks.rows.values())


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_few_who_fall_silent_are_lost_at_once(log: FleetLog, count: int) -> None:
    said = fall_silent(log, count)
    assert all(one.alerts("agent_lost") for one in said)
    assert pending(log) == count


def test_many_who_fall_silent_together_keep_their_work(log: FleetLog) -> None:
    first, *others = fall_silent(log, 5)
    (alert,) = first.alerts()
    assert (alert["type"], alert["reason"], alert["suspected"], alert["registered"]) == (
        "brake_engaged",
        "mass_silence",
        5,
        20,
    )
    assert not any(others)
    assert not log.wait(50_000)
    assert pending(log) == 0
    assert log.fold.state.fleets["default"].agents["a00"].row.liveness == "suspected"
    assert log.explain("task-a00")["state"] == "running"


def test_who_is_heard_again_goes_on_with_its_work(log: FleetLog) -> None:
    fall_silent(log, 7)
    live = log.fold.state.fleets["default"].agents["a00"].live
    (directive_id,) = live
    said = log.fact("directive_response", agent_id="a00", directive_id=directive_id, outcome="completed")
    assert said.result["type"] == "task_completed"
    assert log.agent_row("a00").liveness == "alive"


def test_when_most_are_heard_again_the_others_are_lost(log: FleetLog) -> None:
    fall_silent(log, 9)
    for name in AGENTS[:6]:
        log.own("agent_recovered", agent_id=name)
    assert not log.wait(4_000), "the last ones may be heard a little later"
    said = log.wait(3_000)
    assert [alert["subject"] for alert in said.alerts("agent_lost")] == AGENTS[6:9]
    assert len(said.alerts("brake_released")) == 1
    assert pending(log) == 3
    assert not log.wait(10_000).alerts()


def test_in_the_end_all_are_lost_a_few_each_second(log: FleetLog) -> None:
    fall_silent(log, 20)
    log.wait(58_000)
    assert pending(log) == 0
    lost = [len(log.tick().alerts("agent_lost")) for _ in range(12)]
    assert 5 <= sum(lost) <= 12
    assert max(lost) == 1
    log.wait(30_000)
    assert pending(log) == 20


def test_a_fleet_may_do_without_the_brake(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"liveness": {"brake_share": 1.0}}, version=1)
    fall_silent(log, 19)
    assert pending(log) == 19


def test_who_says_goodbye_meanwhile_is_not_held_back(log: FleetLog) -> None:
    fall_silent(log, 7)
    log.fact("agent_deregistered", agent_id="a00")
    assert pending(log) == 1
    assert "a00" not in log.fold.state.fleets["default"].held_back
