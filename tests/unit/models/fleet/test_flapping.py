"""Agents that come and go: after some losses in a short time they stay without work for a while."""

from __future__ import annotations

import pytest

from models.fleet.explain import explain_agent
from tests.unit.models.fleet.log import FleetLog, Said

MINUTE = 60_000


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    for name in ("a0", "a1", "a2"):
        log.agent(name, slots=4)
    return log


def come_and_go(log: FleetLog, times: int, agent_id: str = "a0", apart: int = 30_000) -> Said:
    """What was said when it came back for the last time."""
    said = Said([])
    for _ in range(times):
        log.wait(apart)
        log.own("agent_lost", agent_id=agent_id, silence=20_000)
        said = log.fact("status_update", agent_id=agent_id, status="active")
    return said


def restart(log: FleetLog, times: int, agent_id: str = "a0") -> Said:
    said = Said([])
    for _ in range(times):
        incarnation = log.agent_row(agent_id).incarnation + 1
        said = log.fact("agent_registered", agent_id=agent_id, slots=4, incarnation=incarnation, after=5_000)
    return said


def breaker(log: FleetLog, agent_id: str = "a0") -> dict[str, object]:
    told = explain_agent(log.fold, "default", agent_id)
    assert told is not None
    found = told["breaker"]
    assert isinstance(found, dict)
    return found


def test_a_fourth_loss_in_two_minutes_is_one_too_many(log: FleetLog) -> None:
    assert not come_and_go(log, 3).alerts()
    assert breaker(log)["state"] == "closed"
    (alert,) = come_and_go(log, 1).alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("breaker_opened", "a0", "flapping")
    assert (alert["pause"], alert["tasks"]) == (300.0, [])
    assert breaker(log)["flaps"] == pytest.approx(3.7, abs=0.1)
    log.task("t1")
    assert log.explain("t1")["counts"] == {"tripped": 1, "eligible": 2}
    log.wait(5 * MINUTE - 1_000)
    assert breaker(log)["state"] == "open"
    log.wait(1_001)
    assert breaker(log)["state"] == "half_open"


def test_it_is_told_when_it_comes_back_not_while_it_is_away(log: FleetLog) -> None:
    come_and_go(log, 3)
    log.wait(30_000)
    assert not log.own("agent_lost", agent_id="a0").alerts("breaker_opened")
    log.wait(30_000)
    assert log.fact("agent_registered", agent_id="a0", slots=4).alerts("breaker_opened")


def test_who_is_lost_once_in_five_minutes_gets_work(log: FleetLog) -> None:
    assert not come_and_go(log, 8, apart=5 * MINUTE).alerts()
    assert breaker(log)["state"] == "closed"


def test_who_starts_again_and_again_without_a_word_comes_and_goes_too(log: FleetLog) -> None:
    assert not restart(log, 3).alerts()
    (alert,) = restart(log, 1).alerts()
    assert (alert["type"], alert["reason"]) == ("breaker_opened", "flapping")


@pytest.mark.parametrize("farewell", ["deregistered", "offline", "draining", "drained"])
def test_who_says_goodbye_before_comes_back_as_planned(log: FleetLog, farewell: str) -> None:
    for _ in range(6):
        if farewell == "deregistered":
            log.fact("agent_deregistered", agent_id="a0")
        elif farewell == "drained":
            log.fact("agent_drained", agent_id="a0")
        else:
            log.fact("status_update", agent_id="a0", status=farewell)
        restart(log, 1)
    assert log.agent_row("a0").flaps == 0


@pytest.mark.parametrize("recovered", [False, True])
def test_a_loss_that_ends_with_a_restart_counts_once(log: FleetLog, recovered: bool) -> None:
    """The ingress fold says that the agent is back before it forwards what it says."""
    for _ in range(3):
        log.own("agent_lost", agent_id="a0", after=5_000)
        if recovered:
            log.own("agent_recovered", agent_id="a0")
        restart(log, 1)
    assert breaker(log)["state"] == "closed"
    assert 2_900 < log.agent_row("a0").flaps <= 3_000


@pytest.mark.parametrize("farewell", ["draining", "drained"])
def test_whoever_may_go_is_not_held_to_have_been_lost(log: FleetLog, farewell: str) -> None:
    for _ in range(6):
        if farewell == "drained":
            log.fact("agent_drained", agent_id="a0")
        else:
            log.fact("status_update", agent_id="a0", status=farewell)
        log.own("agent_lost", agent_id="a0", after=5_000)
        log.own("agent_recovered", agent_id="a0")
        restart(log, 1)
    assert log.agent_row("a0").flaps == 0


def test_again_while_it_waits_makes_it_wait_longer_without_another_alert(log: FleetLog) -> None:
    come_and_go(log, 4)
    until = log.agent_row("a0").tripped_until
    assert not come_and_go(log, 4).alerts("breaker_opened")
    assert log.agent_row("a0").tripped_until > until + 2 * MINUTE
    log.wait(20 * MINUTE)
    assert breaker(log)["state"] == "half_open"


def test_a_fleet_that_comes_and_goes_as_a_whole_keeps_its_agents(log: FleetLog) -> None:
    come_and_go(log, 4)
    assert come_and_go(log, 4, "a1").alerts("breaker_withheld")
    assert breaker(log, "a1")["state"] == "closed"


def test_an_operator_who_vouches_for_it_makes_all_of_it_forgotten(log: FleetLog) -> None:
    come_and_go(log, 4)
    log.fact("agent_uncordoned", agent_id="a0")
    assert breaker(log) == {"state": "closed", "failed": [], "until": None, "openings": 0, "flaps": 0.0}


@pytest.mark.parametrize("policy", [{"flaps": 0}, {"share": 0}])
def test_it_can_be_switched_off(log: FleetLog, policy: dict[str, object]) -> None:
    log.fact("policy_changed", version=1, policy={"breaker": policy})
    assert not {alert["type"] for alert in come_and_go(log, 9).alerts()} & {
        "breaker_opened",
        "breaker_withheld",
    }


def test_a_restored_fold_goes_on_counting(log: FleetLog) -> None:
    come_and_go(log, 3)
    log.fold.restored()
    log.fold.validate()
    assert come_and_go(log, 1).alerts("breaker_opened")


def test_losses_cannot_be_forgotten_at_once(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"breaker": {"flap_memory": 0}})
    assert log.fold.state.fleets["default"].policy.version == 0
    come_and_go(log, 4)
    assert breaker(log)["state"] == "open"
