"""How fast agents work, as far as their completed tasks show it."""

from __future__ import annotations

import random

import pytest

from models.fleet.pace import CLASS_MEMORY
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1", slots=100)
    log.agent("a2", slots=100)
    return log


def work(log: FleetLog, agent: str, task: str, seconds: float, **fields: object) -> None:
    """A task goes to the agent, which accepts it at once and completes it after some seconds."""
    log.task(task, **fields)
    directive = log.plan((task, agent, 1)).directive
    log.answer(directive, "accepted", after=5)
    log.answer(directive, "completed", after=round(seconds * 1000))


def speed(log: FleetLog, agent: str) -> float:
    return log.agent_row(agent).speed


def test_an_agent_is_as_fast_as_others_until_something_shows_otherwise(log: FleetLog) -> None:
    assert speed(log, "a1") == 1.0
    work(log, "a1", "t1", 100)
    assert speed(log, "a1") == 1.0, "nobody to compare with"


def test_who_takes_half_as_long_as_is_usual_is_twice_as_fast(log: FleetLog) -> None:
    for number in range(120):
        work(log, "a1", f"slow-{number}", 2)
        work(log, "a2", f"fast-{number}", 1)
    assert 1.7 < speed(log, "a2") / speed(log, "a1") < 2.1
    assert speed(log, "a1") < 1 < speed(log, "a2")


def test_size_is_allowed_for_and_kinds_of_tasks_are_not_compared(log: FleetLog) -> None:
    for number in range(30):
        work(log, "a1", f"large-{number}", 40, size=4)
        work(log, "a2", f"small-{number}", 10, size=1)
        work(log, "a2", f"other-{number}", 90, size=1, slots=2)
    assert speed(log, "a1") == pytest.approx(1, abs=0.01)
    assert speed(log, "a2") == pytest.approx(1, abs=0.01)


def test_one_odd_task_says_nothing(log: FleetLog) -> None:
    for number in range(5):
        work(log, "a1", f"t-{number}", 10)
    work(log, "a2", "odd", 0.001)
    assert speed(log, "a2") == 1.0


def test_the_past_fades(log: FleetLog) -> None:
    for number in range(60):
        work(log, "a1", f"slow-{number}", 2)
        work(log, "a2", f"fast-{number}", 1)
    assert speed(log, "a2") > 1.2
    for number in range(60):
        work(log, "a1", f"a-{number}", 30)
        work(log, "a2", f"b-{number}", 30)
    assert speed(log, "a2") == pytest.approx(1, abs=0.01)


def test_luck_is_no_speed(log: FleetLog) -> None:
    """Fifty agents alike, whose tasks take as long as chance has it: hardly one counts as fast or slow."""
    chance = random.Random(5)
    for number in range(50):
        log.agent(f"b{number}", slots=100)
    for round_ in range(12):
        for number in range(50):
            work(log, f"b{number}", f"t-{round_}-{number}", chance.expovariate(1))
    speeds = [speed(log, f"b{number}") for number in range(50)]
    assert sum(found != 1.0 for found in speeds) <= 2
    assert all(0.8 < found < 1.25 for found in speeds)


def test_time_until_acceptance_is_not_the_agents(log: FleetLog) -> None:
    work(log, "a1", "t1", 10)
    log.task("t2", ack_timeout=600)
    directive = log.plan(("t2", "a2", 1)).directive
    log.answer(directive, "accepted", after=300_000)
    log.answer(directive, "completed", after=10_000)
    assert speed(log, "a2") == pytest.approx(1)


def test_failures_say_nothing_of_speed(log: FleetLog) -> None:
    work(log, "a1", "t1", 10)
    log.task("t2")
    directive = log.plan(("t2", "a2", 1)).directive
    log.answer(directive, "failed", after=100)
    assert speed(log, "a2") == 1.0


def test_the_pace_of_a_class_is_forgotten_when_it_is_of_no_use_any_more(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"task_memory": 0}, version=1)
    work(log, "a1", "t1", 10)
    work(log, "a1", "t2", 10)
    (row,) = log.fold.state.tables.paces.rows.values()
    assert row.count == 2 <= CLASS_MEMORY
    log.task("t3")
    log.tick(3_700_000)
    assert len(log.fold.state.tables.paces) == 1, "a task of the class waits"
    log.fact("task_cancelled", task_id="t3")
    log.tick(3_700_000)
    assert not log.fold.state.tables.paces.rows
