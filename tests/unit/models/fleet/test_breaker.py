"""Circuit breakers: who fails at one task after the other gets less; tasks that fail everywhere are told of."""

from __future__ import annotations

from typing import Any

import pytest

from models.fleet.explain import explain_agent
from models.fleet.views import agent, agent_states
from tests.unit.models.fleet.log import FleetLog, Said

AGENTS = [f"a{number}" for number in range(4)]


@pytest.fixture
def log() -> FleetLog:
    """A fleet of four agents of four slots each."""
    log = FleetLog()
    for name in AGENTS:
        log.agent(name, slots=4)
    return log


def assign(
    log: FleetLog, task_id: str, agent_id: str = "a0", epoch: int = 1, **task: object
) -> dict[str, Any]:
    return log.run(task_id, agent_id, epoch, **task)


def fail(log: FleetLog, *task_ids: str, agent_id: str = "a0", **answer: object) -> Said:
    """Each of these tasks fails on the agent; what was said to the last one."""
    said = Said([])
    for task_id in task_ids:
        said = log.answer(assign(log, task_id, agent_id), "failed", **{"reason": "boom", **answer})
    return said


def breaker(log: FleetLog, agent_id: str = "a0") -> str:
    explanation: Any = explain_agent(log.fold, "default", agent_id)
    return str(explanation["breaker"]["state"])


def states(log: FleetLog, agent_id: str = "a0") -> list[str]:
    shown: Any = agent(log.fold, "default", agent_id)
    return agent_states(shown)


def test_five_failures_in_a_row_open_the_breaker(log: FleetLog) -> None:
    assert not fail(log, "t1", "t2", "t3", "t4").alerts()
    (alert,) = fail(log, "t5").alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("breaker_opened", "a0", "boom")
    assert (alert["tasks"], alert["pause"], alert["openings"]) == (["t1", "t2", "t3", "t4", "t5"], 30.0, 1)
    assert breaker(log) == "open"
    assert states(log) == ["tripped", "idle"]
    log.task("next")
    assert log.explain("next")["counts"] == {"tripped": 1, "eligible": 3}
    assert log.plan(("next", "a0", 1)).directives() == []


def test_a_task_that_completes_in_between_starts_the_count_anew(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4")
    log.answer(assign(log, "good"), "completed")
    assert not fail(log, "t5", "t6", "t7", "t8").alerts()
    assert fail(log, "t9").alerts("breaker_opened")


def test_the_same_task_failing_again_counts_once(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"retry": {"base": 0}})
    for epoch in range(1, 8):
        assert not log.answer(assign(log, "t1", epoch=epoch, max_attempts=99), "failed").alerts()
    assert log.agent_row("a0").failed == ["t1"]


def test_what_failed_elsewhere_before_counts_against_nobody(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"retry": {"base": 0}})
    tasks = [f"t{number}" for number in range(4)]
    fail(log, *tasks, agent_id="a1")
    for task_id in tasks:
        log.answer(assign(log, task_id, epoch=2), "failed")
    assert log.agent_row("a0").failed == []


def test_an_agent_that_stops_and_gives_work_back_has_not_failed(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5", "t6", reason="agent_stopped")
    assert breaker(log) == "closed"


def test_who_accepts_and_does_not_end_it_or_does_not_answer_at_all_fails_too(log: FleetLog) -> None:
    for number in range(3):
        assign(log, f"slow{number}", run_timeout=1.0)
    log.task("unheard", ack_timeout=0.5)
    log.plan(("unheard", "a0", 1))
    assert [alert["type"] for alert in log.wait(2_000).alerts()] == ["directive_unanswered"]
    log.wait(20_000)  # the credit that withdrawals hold is free again
    assert sorted(log.agent_row("a0").failed) == ["slow0", "slow1", "slow2", "unheard"]
    assert fail(log, "t5").alerts("breaker_opened")


def test_to_be_lost_amid_work_is_one_failure_and_to_leave_is_none(log: FleetLog) -> None:
    for number in range(4):
        assign(log, f"t{number}")
    log.own("agent_lost", agent_id="a0", silence=20_000)
    assert log.agent_row("a0").failed == ["t0"]
    log.fact("status_update", agent_id="a0", status="idle")
    for number in range(4, 8):
        assign(log, f"t{number}")
    log.fact("agent_deregistered", agent_id="a0")
    assert log.agent_row("a0").failed == ["t0"]


def test_after_the_pause_it_gets_one_task_then_twice_as_many_then_all_its_slots(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5")
    log.wait(29_000)
    assert breaker(log) == "open"
    log.wait(1_001)
    assert states(log) == ["probation", "idle"]
    first = assign(log, "p1")
    log.task("p2")
    assert log.explain("p2")["counts"] == {"probation": 1, "eligible": 3}
    assert log.plan(("p2", "a0", 1)).directives() == []
    assert not log.answer(first, "completed").alerts()
    second = log.plan(("p2", "a0", 1)).directive
    third = assign(log, "p3")
    log.task("p4")
    assert log.plan(("p4", "a0", 1)).directives() == []
    assert [alert["type"] for alert in log.answer(second, "completed").alerts()] == ["breaker_closed"]
    assert breaker(log) == "closed"
    log.answer(third, "failed")
    assert breaker(log) == "closed"


def test_a_failure_on_probation_opens_it_again_for_twice_as_long(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5")
    log.wait(30_001)
    (alert,) = fail(log, "t6").alerts()
    assert (alert["type"], alert["pause"], alert["openings"]) == ("breaker_opened", 60.0, 2)
    log.wait(59_000)
    assert breaker(log) == "open"
    log.wait(1_001)
    assert breaker(log) == "half_open"


def test_what_completes_while_it_is_open_does_not_close_it(log: FleetLog) -> None:
    old = assign(log, "old")
    fail(log, "t1", "t2", "t3", "t4", "t5")
    log.answer(old, "completed")
    assert breaker(log) == "open"


def test_an_operator_who_vouches_for_the_agent_closes_it(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5")
    (alert,) = log.fact("agent_uncordoned", agent_id="a0").alerts()
    assert (alert["type"], alert["reason"]) == ("breaker_closed", "operator")
    assert log.plan(("t1", "a0", 2)).directives() == []  # its back-off, not the agent
    log.task("next")
    assert log.plan(("next", "a0", 1)).directive["agent_id"] == "a0"


def test_only_a_share_of_the_fleet_is_taken_out_at_a_time(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5")
    (alert,) = fail(log, "u1", "u2", "u3", "u4", "u5", agent_id="a1").alerts()
    assert (alert["type"], alert["reason"]) == ("breaker_withheld", "too_many_open")
    assert (alert["open"], alert["registered"], alert["agent_id"]) == (1, 4, "a1")
    assert breaker(log, "a1") == "closed"
    log.wait(30_001)
    assert fail(log, "u6", agent_id="a1").alerts("breaker_opened")


@pytest.mark.parametrize(("agents", "policy"), [(1, {}), (4, {"breaker": {"share": 0}})])
def test_the_last_agent_and_all_where_it_is_switched_off_go_on(
    agents: int, policy: dict[str, object]
) -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy=policy)
    for name in AGENTS[:agents]:
        log.agent(name)
    fail(log, "t1", "t2", "t3", "t4", "t5", "t6")
    assert breaker(log) == "closed"


def test_the_planner_gives_an_agent_on_probation_one_task(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5", max_attempts=1)
    log.wait(30_001)
    for number in range(20):
        log.task(f"p{number}")
    placed = [directive["agent_id"] for directive in log.place().directives()]
    assert {name: placed.count(name) for name in AGENTS} == {"a0": 1, "a1": 4, "a2": 4, "a3": 4}


def test_a_task_that_fails_on_three_agents_is_told_of_and_waits_for_the_longest(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"retry": {"base": 0}})
    for number, name in enumerate(("a0", "a0", "a1"), 1):
        assert not log.answer(assign(log, "bad", name, number, max_attempts=9), "failed").alerts()
    (alert,) = log.answer(assign(log, "bad", "a2", 4), "failed", reason="ouch").alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("task_poisoned", "bad", "ouch")
    assert (alert["agents"], alert["attempts"], alert["pause"]) == (["a0", "a1", "a2"], 4, 60.0)
    assert log.explain("bad")["reason"] == "backoff"
    log.wait(59_000)
    assert log.plan(("bad", "a3", 5)).directives() == []
    log.wait(1_000)
    log.answer(log.plan(("bad", "a3", 5)).directive, "failed")
    assert log.task_row("bad").retry_at == log.now + 60_000


def test_a_restored_fold_knows_open_breakers_and_when_they_end(log: FleetLog) -> None:
    fail(log, "t1", "t2", "t3", "t4", "t5")
    log.fold.restored()
    log.fold.validate()
    assert breaker(log) == "open"
    log.wait(30_001)
    assert breaker(log) == "half_open"
