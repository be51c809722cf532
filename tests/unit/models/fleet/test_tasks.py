"""The life of a task, from its submission to its one end."""

from __future__ import annotations

import pytest

from models.fleet.tasks import retry_delay
from models.policy import RetryPolicy
from tests.unit.models.fleet.log import FleetLog

DAY = 86_400_000


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_an_equal_resubmission_is_a_duplicate(log: FleetLog) -> None:
    log.task(priority=5, payload={"a": 1, "b": 2})
    assert not log.task(payload={"b": 2, "a": 1}, event_id="again", seq=9)
    assert log.outcomes == {"applied": 1, "duplicate": 1}


def test_other_content_under_a_known_id_is_rejected_without_a_result(log: FleetLog) -> None:
    log.task(payload=1)
    said = log.task(payload=2)
    assert said.rejections == ["task_exists"]
    assert not said.results()
    assert log.task_row().payload == b"1"


def test_an_ended_tasks_id_is_remembered_for_seven_days(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "completed")
    log.tick(7 * DAY - 1_000)
    log.tick(1)
    assert not log.task()
    assert log.task(payload="other").rejections == ["task_exists"]
    log.tick(2_000)
    assert not log.task(payload="other").rejections
    assert log.task_row().payload == b'"other"'


def test_a_failed_task_is_tried_again_with_a_higher_epoch_and_attempt(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "failed")
    log.wait(1_000)
    second = log.place().directive
    assert (directive["epoch"], directive["attempt"]) == (1, 1)
    assert (second["epoch"], second["attempt"]) == (2, 2)


def test_a_rejected_task_keeps_its_attempt_and_raises_its_epoch(log: FleetLog) -> None:
    directive = log.assigned()
    log.agent("a2")
    log.answer(directive, "rejected")
    second = log.place().directive
    assert second["agent_id"] == "a2"
    assert (second["epoch"], second["attempt"]) == (2, 1)


def test_a_failed_task_waits_before_its_next_attempt(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "failed")
    assert not log.place()
    assert log.explain()["reason"] == "backoff"
    assert log.plan(("t1", "a1", 2)).outputs == []
    assert log.fold.state.clock.refusals == {"backoff": 1}


def test_a_task_fails_for_good_when_its_attempts_are_used_up(log: FleetLog) -> None:
    directive = log.running(max_attempts=2)
    log.answer(directive, "failed", reason="first")
    log.wait(1_000)
    said = log.answer(log.place().directive, "failed", reason="no disk")
    assert said.result["type"] == "task_failed"
    assert said.result["reason"] == "no disk"
    assert said.result["attempt"] == 2
    assert [alert["subject"] for alert in said.alerts("task_failed")] == ["t1"]


def test_a_task_that_nobody_takes_fails_after_twenty_deliveries(log: FleetLog) -> None:
    for number in range(20):
        log.agent(f"a{number}")
    log.task()
    for delivery in range(20):
        said = log.answer(log.place().directive, "rejected", reason="not mine")
        assert bool(said.results()) == (delivery == 19)
    assert said.result["type"] == "task_failed"
    assert said.result["reason"] == "undeliverable: not mine"
    assert said.result["attempt"] == 1


def test_a_rejecting_agent_is_not_asked_again_for_thirty_seconds(log: FleetLog) -> None:
    log.answer(log.assigned(), "rejected")
    assert not log.place()
    assert log.explain()["reason"] == "cooling_down"
    log.wait(29_000)
    assert not log.place()
    log.wait(1_000)
    assert log.place().directive["agent_id"] == "a1"


def test_the_thirty_seconds_run_on_issue_time_to_the_millisecond(log: FleetLog) -> None:
    log.answer(log.assigned(), "rejected")
    log.now += 29_999
    assert not log.plan(("t1", "a1", 2))
    assert log.fold.state.clock.refusals == {"cooling_down": 1}
    log.now += 1
    assert log.plan(("t1", "a1", 2)).directives()


def test_a_rejecting_agent_still_gets_other_tasks(log: FleetLog) -> None:
    log.answer(log.assigned(), "rejected")
    log.task("t2")
    assert log.place().directive["task_id"] == "t2"


def test_cancelling_a_pending_task_ends_it(log: FleetLog) -> None:
    log.task()
    said = log.fact("task_cancelled", task_id="t1", reason="changed my mind")
    assert said.result["type"] == "task_cancelled"
    assert said.result["reason"] == "changed my mind"
    assert (said.result["epoch"], said.result["attempt"], said.result["agent_id"]) == (0, 0, None)
    assert not said.directives()


def test_cancelling_a_running_task_withdraws_it_at_once_and_holds_the_credit(log: FleetLog) -> None:
    directive = log.running()
    said = log.fact("task_cancelled", task_id="t1")
    assert said.directive["type"] == "withdraw_task"
    assert said.directive["epoch"] == directive["epoch"]
    assert "expires_at" not in said.directive
    assert said.result["type"] == "task_cancelled"
    assert log.held() == 1
    assert log.answer(directive, "completed").rejections == ["not_live"]
    log.answer(said.directive, "completed")
    assert log.held() == 0


def test_cancelling_an_unknown_or_ended_task_is_rejected(log: FleetLog) -> None:
    assert log.fact("task_cancelled", task_id="t9").rejections == ["unknown_task"]
    log.task()
    log.fact("task_cancelled", task_id="t1")
    assert log.fact("task_cancelled", task_id="t1").rejections == ["not_live"]


def test_a_pending_task_past_its_deadline_fails(log: FleetLog) -> None:
    log.task(deadline=(log.now + 5_000) / 1000)
    assert not log.wait(4_000).results()
    result = log.wait(2_000).result
    assert (result["type"], result["reason"]) == ("task_failed", "deadline")


def test_a_deadline_is_past_only_after_its_millisecond(log: FleetLog) -> None:
    log.task(deadline=(log.now + 1_000) / 1000)
    assert not log.tick(1_000).results()
    assert log.tick(1).result["reason"] == "deadline"


def test_a_running_task_may_finish_after_its_deadline(log: FleetLog) -> None:
    directive = log.running(deadline=(log.now + 5_000) / 1000)
    assert not log.wait(10_000).results()
    assert log.answer(directive, "completed").result["type"] == "task_completed"


def test_a_task_that_returns_after_its_deadline_fails_at_once(log: FleetLog) -> None:
    directive = log.running(deadline=(log.now + 5_000) / 1000)
    log.wait(10_000)
    assert log.answer(directive, "failed").result["reason"] == "deadline"


def test_a_task_that_nobody_could_hold_stays_pending_with_an_alert(log: FleetLog) -> None:
    log.agent(capabilities=["saw"])
    log.task(requires={"capabilities": ["weld"]})
    said = log.wait(6_000)
    assert [a["subject"] for a in said.alerts("no_eligible_agent")] == ["t1"]
    assert log.task_row().state == "pending"
    assert log.explain()["reason"] == "impossible"
    assert not log.wait(60_000).alerts(), "once for each task"


def test_agents_that_start_with_their_tasks_raise_no_alert(log: FleetLog) -> None:
    log.task()
    log.wait(3_000)
    log.agent()
    assert not log.wait(10_000).alerts()


def test_a_second_impossible_task_of_a_known_class_alerts_at_once(log: FleetLog) -> None:
    log.agent()
    log.task(requires={"capabilities": ["weld"]})
    log.wait(6_000)
    said = log.task("t2", requires={"capabilities": ["weld"]})
    assert [a["subject"] for a in said.alerts("no_eligible_agent")] == ["t2"]


def test_a_task_that_becomes_impossible_again_does_not_alert_again(log: FleetLog) -> None:
    log.task(requires={"capabilities": ["weld"]})
    assert log.wait(6_000).alerts()
    log.agent(capabilities=["weld"])
    assert log.explain()["reason"] == "waiting_for_plan"
    log.fact("agent_deregistered", agent_id="a1")
    assert log.explain()["reason"] == "impossible"
    assert not log.wait(10_000)


def test_an_impossible_task_is_placed_as_soon_as_somebody_can_hold_it(log: FleetLog) -> None:
    log.task(requires={"capabilities": ["weld"]})
    log.wait(6_000)
    log.agent(capabilities=["weld"])
    assert log.place().directive["task_id"] == "t1"


def test_retry_delays_grow_to_their_cap_and_spread_by_the_ids_alone() -> None:
    steady = RetryPolicy(base=1_000, factor=2.0, cap=5_000, jitter=0.0)
    assert [retry_delay(steady, "t1", 1, n) for n in (1, 2, 3, 4, 1000)] == [
        1_000,
        2_000,
        4_000,
        5_000,
        5_000,
    ]
    spread = RetryPolicy(base=1_000, factor=2.0, cap=5_000, jitter=0.5)
    delays = {retry_delay(spread, f"t{n}", 1, 1) for n in range(100)}
    assert len(delays) > 50
    assert all(500 <= delay <= 1_000 for delay in delays)
    assert retry_delay(spread, "t1", 1, 1) == retry_delay(spread, "t1", 1, 1)


def test_a_task_rises_by_a_level_of_priority_for_each_stretch_that_it_waits(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"planning": {"ageing": 10}}, version=1)
    log.task(priority=2)
    log.wait(9_999)
    assert log.task_row().promotions == 0
    log.wait(1)
    assert log.task_row().promotions == 1
    log.tick(45_000)
    assert log.task_row().promotions == 5


def test_a_task_that_was_at_work_meanwhile_has_waited_all_the_same(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"planning": {"ageing": 10}}, version=1)
    directive = log.running(max_attempts=2)
    log.wait(35_000)
    assert log.task_row().promotions == 0
    log.answer(directive, "failed")
    log.tick()
    assert log.task_row().promotions == 3


def test_another_ageing_counts_from_now_on(log: FleetLog) -> None:
    log.task(priority=2)
    log.wait(25_000)
    log.fact("policy_changed", policy={"planning": {"ageing": 10}}, version=1)
    log.tick()
    assert log.task_row().promotions == 2
    log.fact("policy_changed", policy={"planning": {"ageing": 1000}}, version=2)
    log.tick(100_000)
    assert log.task_row().promotions == 2, "what was gained stays"
