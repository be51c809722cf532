"""Credits and control directives."""

from __future__ import annotations

import pytest

from models.fleet.seal import FOLD_VERSION
from models.policy import DEFAULT_POLICY, digest_of
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_an_agent_is_never_given_more_than_its_slots(log: FleetLog) -> None:
    log.agent(slots=3)
    log.task("t1", slots=2)
    log.task("t2", slots=2)
    log.plan(("t1", "a1", 1), ("t2", "a1", 1))
    assert log.held() == 2
    assert log.fold.state.clock.refusals == {"no_credit": 1}


def test_resources_are_held_exactly_although_they_are_fractions(log: FleetLog) -> None:
    log.agent(slots=10, resources={"gpu": 0.3})
    for number in range(4):
        log.task(f"t{number}", requires={"resources": {"gpu": 0.1}})
    assert len(log.place().directives()) == 3
    assert log.explain("t3")["counts"] == {"resource_held": 1}


def test_a_smaller_registration_takes_no_work_away(log: FleetLog) -> None:
    log.agent(slots=2)
    log.task("t1")
    log.task("t2")
    first = log.place().directives()[0]
    log.agent(slots=1)
    log.task("t3")
    log.answer(first, "completed")
    assert log.held() == 1
    assert not log.place(), "one slot, and it is held"


def test_a_withdrawal_holds_the_credit_until_it_is_answered(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    withdraw = log.wait(5_000).directive
    assert withdraw["type"] == "withdraw_task"
    assert withdraw["epoch"] == 1
    assert log.held() == 1
    log.task("t2")
    assert not log.place()
    log.answer(withdraw, "completed")
    assert log.held() == 0
    assert log.place().directive["task_id"] == "t2"


def test_a_withdrawal_holds_the_credit_no_longer_than_its_own_time(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    log.wait(5_000)
    assert log.held() == 1
    repeated = log.wait(5_000).directive
    assert repeated["type"] == "withdraw_task"
    assert log.held() == 0, "a repeat holds nothing"


def test_a_control_directive_is_repeated_until_three_went_out(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    said = log.wait(60_000)
    withdrawals = said.directives("withdraw_task")
    assert len(withdrawals) == 3
    assert len({w["directive_id"] for w in withdrawals}) == 3
    assert [w["ack_timeout"] for w in withdrawals] == [5, 5, 5]
    (alert,) = said.alerts("control_unanswered")
    assert (alert["subject"], alert["reason"], alert["task_id"]) == ("a1", "withdraw_task", "t1")


@pytest.mark.parametrize("outcome", ["completed", "rejected"])
def test_an_answered_control_directive_is_not_repeated(log: FleetLog, outcome: str) -> None:
    log.agent()
    drain = log.fact("agent_drained", agent_id="a1").directive
    log.answer(drain, outcome, reason="no")
    assert not log.wait(60_000)


def test_a_mere_acceptance_does_not_answer_a_control_directive(log: FleetLog) -> None:
    log.agent()
    log.answer(log.fact("agent_drained", agent_id="a1").directive, "accepted")
    assert log.wait(11_000).directive["type"] == "drain"


def test_control_directives_about_an_agent_wait_ten_seconds(log: FleetLog) -> None:
    log.agent()
    drain = log.fact("agent_drained", agent_id="a1").directive
    assert drain["ack_timeout"] == 10
    assert drain["ack_by"] == drain["issued_at"] + 10


def test_control_directives_have_no_effect_on_attempts(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    log.answer(log.wait(5_000).directive, "rejected")
    assert (log.task_row().attempts, log.task_row().deliveries) == (0, 1)


def test_withdrawals_end_with_the_agent(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    log.wait(5_000)
    log.own("agent_lost", agent_id="a1")
    assert log.held() == 0
    assert not log.wait(60_000).directives()


def test_a_directive_carries_all_that_the_contract_names(log: FleetLog) -> None:
    log.agent()
    log.task(ack_timeout=7, run_timeout=70, payload={"do": "it"})
    offset = len(log.log)
    said = log.plan(("t1", "a1", 1), plan_id="plan-9")
    issued = log.now / 1000
    assert said.directive == {
        "directive_id": f"default.{offset}.0",
        "type": "assign_task",
        "agent_id": "a1",
        "fleet": "default",
        "task_id": "t1",
        "epoch": 1,
        "attempt": 1,
        "plan_id": "plan-9",
        "issued_at": issued,
        "ack_by": issued + 7,
        "ack_timeout": 7,
        "expires_at": issued + 70,
        "run_timeout": 70,
        "payload": {"do": "it"},
        "cause": {"offset": offset, "events": []},
        "provenance": {
            "fold": FOLD_VERSION,
            "planner": "test/1",
            "policy": digest_of(DEFAULT_POLICY),
            "state": log.fold.state.sealed,
        },
    }
    (output,) = said.outputs
    assert output.key == b"a1"
    assert dict(output.headers)["ce_id"] == f"default.{offset}.0".encode()


def test_an_output_names_the_event_that_caused_it(log: FleetLog) -> None:
    directive = log.running()
    result = log.answer(directive, "completed").result
    # Of the fleet log's five records one is the plan, which no event stands behind.
    assert result["cause"] == {"offset": 4, "events": [{"partition": 0, "offset": 4}]}


def test_several_directives_of_one_record_are_numbered(log: FleetLog) -> None:
    log.agent(slots=2)
    log.task("t1")
    log.task("t2")
    offset = len(log.log)
    ids = [directive["directive_id"] for directive in log.place().directives()]
    assert ids == [f"default.{offset}.0", f"default.{offset}.1"]
