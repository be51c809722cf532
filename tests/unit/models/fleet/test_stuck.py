"""Tasks that run for longer than their like and say nothing, and tasks that will miss their deadline."""

from __future__ import annotations

import pytest

from models import histogram
from models.fleet.pace import _QUANTILE_MEMORY
from models.fleet.stuck import ENOUGH
from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent(slots=100)
    return log


def complete(log: FleetLog, count: int = ENOUGH, seconds: float = 10, **task: object) -> None:
    for number in range(count):
        log.answer(log.run(f"usual-{number}", **task), "completed", after=round(seconds * 1000))


def test_a_task_that_is_silent_for_three_times_as_long_as_its_like_take_is_stuck(log: FleetLog) -> None:
    complete(log)
    directive = log.run("t1")
    patience = log.fold.state.tables.directives.rows[directive["directive_id"]].stuck_at - log.now
    assert 30_000 <= patience <= 30_000 * 9 / 8
    assert not log.wait(patience - 1_000).alerts()
    (alert,) = log.wait(2_000).alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("task_stuck", "t1", "no_progress")
    assert (alert["agent_id"], alert["directive_id"]) == ("a1", directive["directive_id"])
    assert alert["silent"] == pytest.approx(alert["patience"], abs=1.01)
    assert not log.wait(600_000).alerts(), "once"
    assert log.task_row("t1").state == "running", "it is people who know better"


def test_progress_is_a_sign_of_life(log: FleetLog) -> None:
    complete(log)
    directive = log.run("t1")
    log.wait(25_000)
    log.answer(directive, "progress", progress=0.5)
    assert not log.wait(28_000).alerts()
    (alert,) = log.wait(10_000).alerts("task_stuck")
    assert alert["progress"] == 0.5


def test_a_larger_task_may_be_silent_for_longer(log: FleetLog) -> None:
    complete(log)
    log.run("t1", size=4)
    assert not log.wait(110_000).alerts()
    assert log.wait(30_000).alerts("task_stuck")


def test_while_longer_and_longer_ones_complete_none_is_stuck(log: FleetLog) -> None:
    directives = {number: log.run(f"t{number}") for number in range(100)}
    for number, directive in directives.items():
        assert not log.wait(10_000).alerts(), f"nobody can know that {number} is long"
        log.answer(directive, "completed")


def test_nothing_is_said_before_enough_of_its_like_have_completed(log: FleetLog) -> None:
    complete(log, ENOUGH - 1)
    log.run("t1")
    log.run("another-kind", slots=2)
    assert not log.wait(1_000_000).alerts()


def test_a_run_timeout_that_comes_sooner_says_enough(log: FleetLog) -> None:
    complete(log)
    log.run("t1", run_timeout=20)
    assert not log.wait(200_000).alerts("task_stuck")


def test_of_an_agent_that_is_silent_itself_no_task_is_stuck(log: FleetLog) -> None:
    complete(log)
    log.run("t1")
    log.own("agent_suspected", agent_id="a1")
    assert not log.wait(100_000).alerts()
    log.own("agent_recovered", agent_id="a1")
    assert log.wait(10_000).alerts("task_stuck")


def test_who_ends_in_time_is_not_stuck(log: FleetLog) -> None:
    complete(log)
    log.answer(log.run("t1"), "completed", after=29_000)
    assert not log.wait(100_000).alerts()


def test_a_restored_fold_goes_on_waiting(log: FleetLog) -> None:
    complete(log)
    log.run("t1")
    log.fold = restored_from(rows_of(log.fold), 1)
    assert log.wait(40_000).alerts("task_stuck")
    log.fold = restored_from(rows_of(log.fold), 1)
    assert not log.wait(100_000).alerts()


def test_what_is_known_of_a_class_is_bounded_and_follows_what_changes(log: FleetLog) -> None:
    complete(log, _QUANTILE_MEMORY + 1, seconds=1, max_attempts=1)
    (pace,) = log.fold.state.tables.paces.rows.values()
    assert histogram.size(pace.times) == pace.seen == _QUANTILE_MEMORY // 2


def test_a_pending_task_that_would_have_to_begin_now_is_told_of_once(log: FleetLog) -> None:
    log.task("t1", deadline=log.now / 1000 + 100, size=30, requires={"labels": {"far": "yes"}})
    log.wait(6_000)
    assert not log.wait(63_000).alerts()
    (alert,) = log.wait(2_000).alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("deadline_at_risk", "t1", "pending")
    assert (alert["size"], alert["priority"]) == (30, 5)
    log.fold = restored_from(rows_of(log.fold), 1)
    assert not log.wait(20_000).alerts()
    assert log.wait(20_000).result["reason"] == "deadline"


def test_a_task_that_began_in_time_is_not(log: FleetLog) -> None:
    log.run("t1", deadline=log.now / 1000 + 100, size=30)
    assert not log.wait(99_000).alerts()
