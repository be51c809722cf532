"""Which answers of agents count, and what they do."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_a_completed_directive_completes_its_task_with_its_result(log: FleetLog) -> None:
    directive = log.running()
    result = log.answer(directive, "completed", result={"answer": 42}).result
    assert result["type"] == "task_completed"
    assert result["result"] == {"answer": 42}
    assert (result["task_id"], result["agent_id"], result["epoch"], result["attempt"]) == ("t1", "a1", 1, 1)
    assert log.held() == 0


def test_completed_implies_accepted(log: FleetLog) -> None:
    directive = log.assigned()
    assert log.answer(directive, "completed").result["type"] == "task_completed"


def test_progress_implies_accepted(log: FleetLog) -> None:
    directive = log.assigned()
    log.answer(directive, "progress", progress=0.5)
    assert log.task_row().state == "running"
    assert not log.wait(15_000).directives("withdraw_task")


def test_failed_implies_accepted_and_counts_as_an_attempt(log: FleetLog) -> None:
    directive = log.assigned()
    log.answer(directive, "failed", reason="no disk")
    assert log.task_row().attempts == 1
    assert log.task_row().deliveries == 0
    assert log.task_row().state == "pending"
    assert log.task_row().last_reason == "no disk"


def test_a_rejection_counts_as_a_delivery_not_as_an_attempt(log: FleetLog) -> None:
    directive = log.assigned()
    log.answer(directive, "rejected", reason="busy")
    assert log.task_row().attempts == 0
    assert log.task_row().deliveries == 1
    assert log.held() == 0


def test_an_answer_to_a_directive_that_never_was_is_rejected(log: FleetLog) -> None:
    log.agent()
    said = log.fact("directive_response", agent_id="a1", directive_id="default.7.0", outcome="completed")
    assert said.rejections == ["unknown_directive"]


def test_an_answer_from_somebody_else_is_rejected(log: FleetLog) -> None:
    directive = log.assigned()
    log.agent("a2")
    assert log.answer({**directive, "agent_id": "a2"}, "completed").rejections == ["wrong_agent"]
    assert log.task_row().state == "assigned"


def test_an_answer_with_another_epoch_is_rejected(log: FleetLog) -> None:
    directive = log.assigned()
    assert log.answer(directive, "completed", epoch=2).rejections == ["wrong_epoch"]
    assert log.answer(directive, "completed", epoch=1).results()


def test_an_answer_in_another_fleet_is_rejected(log: FleetLog) -> None:
    directive = log.assigned()
    said = log.answer(directive, "completed", fleet="other")
    assert said.rejections == ["unknown_directive"]


def test_a_second_answer_changes_nothing(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "completed", result=1)
    said = log.answer(directive, "failed", reason="changed my mind")
    assert said.rejections == ["not_live"]
    assert not said.results()


def test_the_same_answer_again_is_a_duplicate_and_worth_no_alert(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "completed", result=1)
    said = log.answer(directive, "completed", result=1)
    assert not said.outputs
    assert log.fold.state.clock.outcomes["duplicate"] == 1
    assert log.fold.state.clock.outcomes["rejected"] == 0


def test_a_completion_after_the_acks_time_counts_until_a_record_ends_the_directive(log: FleetLog) -> None:
    directive = log.assigned(ack_timeout=10)
    late = log.now + 30_000
    assert log.answer(directive, "completed", after=30_000, through=late - 25_000).results()


def test_a_completion_in_the_very_record_that_makes_its_directive_overdue_counts(log: FleetLog) -> None:
    directive = log.assigned(ack_timeout=1)
    assert log.answer(directive, "completed", after=2_000).results()


def test_a_completion_after_the_record_that_gave_it_up_never_counts(log: FleetLog) -> None:
    directive = log.assigned(ack_timeout=10)
    log.wait(10_000)
    assert log.answer(directive, "completed").rejections == ["not_live"]
    assert log.task_row().state == "pending"


def test_an_answer_long_after_is_unknown(log: FleetLog) -> None:
    directive = log.running()
    log.answer(directive, "completed")
    log.tick(3_600_001)
    log.tick(1_000)
    assert log.answer(directive, "completed").rejections == ["unknown_directive"]


def test_the_same_rejection_alerts_once_a_minute_for_each_subject_and_reason(log: FleetLog) -> None:
    log.agent()
    log.agent("a2")
    nothing = {"agent_id": "a1", "directive_id": "default.7.0"}
    assert log.answer(nothing, "accepted").rejections
    assert not log.answer(nothing, "accepted").rejections
    assert log.answer({**nothing, "agent_id": "a2"}, "accepted").rejections
    log.wait(60_000)
    assert log.answer(nothing, "accepted").rejections
    assert log.fold.state.clock.rejections == {"unknown_directive": 4}
