"""Fleet time: what is overdue, when, and what an outage forgives."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_nothing_is_overdue_before_every_partition_has_reported() -> None:
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=1)
    log.place()
    for _ in range(20):
        assert not log.tick(partitions=[0])
    assert log.task_row().state == "assigned"
    assert log.tick(partitions=[1]).directive["type"] == "withdraw_task"
    assert log.fold.state.clock.outage == 0, "there was no time before that could have jumped"


def test_the_slowest_partition_holds_fleet_time_back() -> None:
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=5)
    log.place()
    log.tick()
    begun = log.now
    for _ in range(20):
        assert not log.tick(partitions=[0]).directives()
    caught_up = [
        log.append({"type": "clock_ticked", "partition": 1, "through": (begun + n * 1_000) / 1000})
        for n in range(1, 6)
    ]
    assert [len(said.directives()) for said in caught_up] == [0, 0, 0, 0, 1]


def test_people_are_told_of_a_partition_that_nobody_forwards() -> None:
    log = FleetLog(events_partitions=2)
    log.agent()
    log.tick()
    for _ in range(60):
        assert not log.tick(partitions=[0])
    (alert,) = log.tick(partitions=[0]).alerts("partition_stalled")
    assert alert["subject"] == "events/1"
    assert not log.tick(partitions=[0]), "not every second"


def test_a_coordinator_that_was_away_does_not_complain_of_partitions_that_it_is_just_about_to_forward() -> (
    None
):
    log = FleetLog(events_partitions=2)
    log.agent()
    log.tick()
    assert not log.tick(3_600_000, partitions=[0])
    assert not log.tick(partitions=[1])
    for _ in range(60):
        assert not log.tick(partitions=[0])
    assert log.tick(partitions=[0]).alerts("partition_stalled"), "but it does if one of them is left out"


def test_an_answer_that_is_forwarded_late_counts_since_time_waits_for_it() -> None:
    """The coordinator is a minute behind in the agent's partition; the other one is up to date."""
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=5)
    directive = log.place().directive
    issued = log.now
    log.tick(100)
    for _ in range(60):
        log.tick(partitions=[1])
    said = log.answer(directive, "completed", through=issued + 4_000)
    assert said.results()


def test_an_unacked_assignment_is_withdrawn_and_its_agent_skipped(log: FleetLog) -> None:
    unheard = log.assigned(ack_timeout=5)
    assert not log.wait(4_000)
    said = log.wait(1_000)
    assert said.directive["type"] == "withdraw_task"
    (alert,) = said.alerts("directive_unanswered")
    assert (alert["subject"], alert["reason"]) == ("a1", "ack_timeout")
    assert (alert["directive_id"], alert["task_id"]) == (unheard["directive_id"], "t1")
    task = log.task_row()
    assert (task.state, task.deliveries, task.last_reason) == ("pending", 1, "ack_timeout")
    log.agent("a2")
    assert log.place().directive["agent_id"] == "a2"


def test_an_answer_at_the_last_millisecond_is_in_time(log: FleetLog) -> None:
    directive = log.assigned(ack_timeout=1)
    assert not log.tick(1_000).directives()
    log.answer(directive, "accepted")
    assert log.task_row().state == "running"


def test_an_accepted_assignment_ends_at_its_run_timeout(log: FleetLog) -> None:
    log.running(run_timeout=20)
    assert not log.wait(19_000)
    said = log.wait(1_000)
    assert said.directive["type"] == "withdraw_task"
    task = log.task_row()
    assert (task.attempts, task.deliveries, task.last_reason) == (1, 0, "run_timeout")


def test_run_timeouts_use_up_attempts(log: FleetLog) -> None:
    log.running(run_timeout=20, max_attempts=1)
    said = log.wait(20_000)
    assert said.result["type"] == "task_failed"
    assert said.result["reason"] == "run_timeout"
    assert said.directive["type"] == "withdraw_task", "the agent must stop all the same"


def test_an_outage_extends_acks_and_runs_by_the_jump(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    log.tick(1_000)
    log.tick(60_000)
    assert log.task_row().state == "assigned"
    assert not log.wait(3_000).directives()
    assert log.wait(2_000).directive["type"] == "withdraw_task"


def test_an_outage_extends_withdrawals_too(log: FleetLog) -> None:
    log.assigned(ack_timeout=5)
    log.wait(5_000)
    assert log.held() == 1
    log.tick(60_000)
    assert log.held() == 1
    log.wait(6_000)
    assert log.held() == 0


def test_an_outage_does_not_extend_a_tasks_own_deadline(log: FleetLog) -> None:
    log.task(deadline=(log.now + 10_000) / 1000)
    log.tick(1_000)
    assert log.tick(60_000).result["reason"] == "deadline"


def test_a_jump_of_three_ticks_is_no_outage(log: FleetLog) -> None:
    log.tick(1_000)
    log.tick(3_000)
    assert log.fold.state.clock.outage == 0
    log.tick(3_001)
    assert log.fold.state.clock.outage == 3_001


def test_an_outage_before_a_directive_does_not_extend_it(log: FleetLog) -> None:
    log.tick(1_000)
    log.tick(60_000)
    log.assigned(ack_timeout=5)
    assert log.wait(5_000).directive["type"] == "withdraw_task"


def test_only_the_part_of_an_outage_that_a_directive_saw_extends_it() -> None:
    """The broker was away for a minute; one partition is forwarded at once then, the other two seconds later."""
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=5)
    log.tick(1_000)
    log.tick(60_000, partitions=[0])
    log.place()
    log.tick(2_000)
    assert log.fold.state.clock.outage == 60_000
    assert log.tick(2_000).directives() == []
    assert log.tick(2_000).directive["type"] == "withdraw_task"


def test_a_directive_issued_by_a_coordinator_behind_its_log_has_its_full_time_after_an_outage() -> None:
    """It answers a record from before the outage when that is over, and fleet time has yet to pass through it."""
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=5)
    log.tick(1_000)
    log.now += 60_000
    log.place()
    log.tick(100)
    assert not log.wait(4_000).directives()
    assert log.wait(2_000).directive["type"] == "withdraw_task"


def test_a_pause_of_the_coordinator_through_which_agents_appended_is_no_outage() -> None:
    """Only one partition has anything to tell of the ten minutes: in the others nobody spoke, though all could."""
    log = FleetLog(events_partitions=3)
    log.agent()
    log.task(ack_timeout=5)
    log.place()
    log.tick(1_000)
    away, log.now = log.now, log.now + 600_000
    for second in range(1, 601):
        assert not log.append(
            {"type": "clock_ticked", "partition": 1, "through": (away + second * 1_000) / 1000}
        )
    assert log.tick(0).directive["type"] == "withdraw_task"
    assert log.fold.state.clock.outage == 0


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_an_outage_counts_whatever_came_between_it_and_the_first_tick(order: list[int]) -> None:
    """An agent's answer reached one partition as soon as the broker was back, the coordinator came later."""
    log = FleetLog(events_partitions=2)
    log.agent("a1", slots=2)
    log.task("t1", ack_timeout=30)
    log.task("t2", ack_timeout=30)
    first, second = log.place().directives()
    log.tick(1_000)
    log.now += 600_000
    log.answer(first, "accepted")
    log.now += 15_000
    assert not log.tick(0, partitions=order).directives()
    assert log.fold.state.clock.outage == 615_000
    assert not log.wait(28_000).directives()
    assert log.wait(3_000).directive["task_id"] == second["task_id"]


def test_two_outages_count_even_if_one_partition_is_ahead_of_the_other() -> None:
    log = FleetLog(events_partitions=2)
    log.tick(1_000)
    began = log.now
    for through in (1_000, 2_000, 62_000, 63_000, 123_000, 124_000):
        log.append({"type": "clock_ticked", "partition": 0, "through": (began + through) / 1000})
    log.append({"type": "clock_ticked", "partition": 1, "through": (began + 124_000) / 1000})
    assert log.fold.state.clock.outage == 120_000
    assert all(not row.gaps for row in log.fold.state.tables.sources.rows.values()), "none is kept for ever"


@pytest.mark.parametrize("every", [1_000, 4_000, 20_000])
def test_people_are_told_of_a_stalled_partition_however_seldom_the_others_speak(every: int) -> None:
    log = FleetLog(events_partitions=2)
    log.agent()
    log.tick()
    said = [log.tick(every, partitions=[0]).alerts("partition_stalled") for _ in range(180_000 // every)]
    assert {alert["subject"] for alerts in said for alert in alerts} == {"events/1"}


def test_an_outage_outlives_a_restart() -> None:
    log = FleetLog(events_partitions=2)
    log.agent()
    log.task(ack_timeout=5)
    log.tick(1_000)
    log.tick(60_000, partitions=[0])
    log.place()
    log.tick(100)
    log.fold = restored_from(rows_of(log.fold), 2)
    assert log.wait(6_000).directive["type"] == "withdraw_task"


def test_planner_window_and_liveness_records_do_not_move_fleet_time(log: FleetLog) -> None:
    log.assigned(ack_timeout=1)
    log.tick(500)
    before = log.fold.state.clock.fleet_time
    log.now += 10_000
    log.plan()
    log.own("agent_suspected", agent_id="a1")
    log.own("window_closed", start=log.now // 1000, end=log.now // 1000 + 10, agents={})
    assert log.fold.state.clock.fleet_time == before
    assert log.task_row().state == "assigned"


def test_issue_time_never_runs_backwards(log: FleetLog) -> None:
    log.agent()
    log.task()
    issued = log.now
    log.now -= 60_000
    assert log.place().directive["issued_at"] == issued / 1000


def test_equal_times_are_handled_in_the_order_of_ids(log: FleetLog) -> None:
    log.agent(slots=3)
    for task_id in ("t3", "t1", "t2"):
        log.task(task_id, ack_timeout=1)
    log.plan(("t2", "a1", 1), ("t3", "a1", 1), ("t1", "a1", 1))
    assert [d["task_id"] for d in log.wait(1_000).directives()] == ["t2", "t3", "t1"]


def test_timers_of_what_ended_early_do_not_pile_up(log: FleetLog) -> None:
    log.agent(slots=100)
    for number in range(1_500):
        log.task(f"t{number}")
        directive = log.plan((f"t{number}", "a1", 1)).directive
        log.answer(directive, "progress", progress=0.5)
        log.answer(directive, "completed")
    assert not log.fold.state.timers.crowded(live=0)
