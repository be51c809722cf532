"""Drained agents finish what they have until their deadline; what is left then goes to others, at a pace."""

from __future__ import annotations

from typing import Any

import pytest

from models.fleet.views import agent as view_of
from tests.unit.models.fleet.log import FleetLog, Said

MINUTE = 60_000


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    for name in ("a1", "a2"):
        log.agent(name, slots=4)
    log.tick()
    return log


def drain(log: FleetLog, after: int | None, agent_id: str = "a1") -> Said:
    deadline = {} if after is None else {"deadline": (log.now + after) / 1000}
    return log.fact("agent_drained", agent_id=agent_id, **deadline)


def withdrawn(said: Said) -> list[str]:
    return [directive["task_id"] for directive in said.directives("withdraw_task")]


def test_it_finishes_what_it_has_until_the_deadline_and_gives_back_the_rest(log: FleetLog) -> None:
    first, second = log.run("t1"), log.run("t2")
    assert drain(log, MINUTE).directive["payload"] == {"deadline": (log.now + MINUTE) / 1000}
    assert not withdrawn(log.wait(MINUTE - 2_000))
    log.answer(first, "completed")
    said = log.wait(3_000)
    assert withdrawn(said) == ["t2"]
    (alert,) = said.alerts("drain_overdue")
    assert (alert["subject"], alert["reason"], alert["tasks"]) == ("a1", "deadline", 1)
    task = log.task_row("t2")
    assert (task.state, task.attempts, task.last_reason) == ("pending", 0, "agent_drained")
    assert log.held() == 1, "until it says that it has stopped"
    log.answer(said.directives("withdraw_task")[0], "completed")
    assert log.held() == 0
    assert log.plan(("t2", "a2", 2)).directive["attempt"] == 1
    assert not log.answer(second, "completed").results(), "its epoch is over"


def test_without_a_deadline_it_finishes_all(log: FleetLog) -> None:
    log.run("t1")
    drain(log, None)
    assert not log.wait(10 * MINUTE).directives("withdraw_task")
    assert log.agent_row().drained


def test_a_deadline_that_is_over_is_now(log: FleetLog) -> None:
    log.run("t1")
    drain(log, -MINUTE)
    assert withdrawn(log.wait(2_000)) == ["t1"]


def test_what_began_last_goes_first_and_only_so_much_a_second_of_all(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"drain_pace": 2})
    for number in range(3):
        log.run(f"t{number}", "a1")
        log.run(f"u{number}", "a2")
    log.agent("a3", slots=8)
    drain(log, 5_000, "a1")
    drain(log, 6_000, "a2")
    gone = [withdrawn(log.tick()) for _ in range(10)]
    assert [batch for batch in gone if batch] == [["t2", "t1"], ["t0", "u2"], ["u1", "u0"]]
    assert log.fold.state.fleets["default"].row.drain_due == 0


def test_nobody_who_is_drained_as_well_makes_it_faster(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"drain_pace": 2})
    log.agent("a3", slots=20)
    for number in range(12):
        log.run(f"t{number}", "a3")
    drain(log, 0, "a3")
    log.tick()
    gone = []
    for _ in range(8):
        drain(log, None, "a2")
        gone += withdrawn(log.tick(100))
    assert len(gone) <= 2


def test_an_agent_that_is_to_work_again_keeps_its_tasks(log: FleetLog) -> None:
    log.run("t1")
    drain(log, MINUTE)
    log.fact("agent_uncordoned", agent_id="a1")
    assert not log.wait(2 * MINUTE).directives("withdraw_task")


def test_a_later_deadline_takes_the_place_of_an_earlier_one(log: FleetLog) -> None:
    log.run("t1")
    drain(log, 10_000)
    drain(log, MINUTE)
    assert not withdrawn(log.wait(30_000))
    assert set(withdrawn(log.wait(40_000))) == {"t1"}


def test_the_place_of_a_member_goes_to_another(log: FleetLog) -> None:
    log.agent("a3", slots=4)
    log.task("t1", coalition={"roles": [{"role": "lift", "count": 2}]})
    formed = log.propose(
        {
            "type": "form_coalition",
            "task_id": "t1",
            "epoch": 1,
            "members": [{"agent_id": name, "role": "lift"} for name in ("a1", "a2")],
        }
    )
    said = Said([])
    for directive in formed.directives("join_coalition"):
        said = log.answer(directive, "accepted")
    for directive in said.directives("assign_task"):
        log.answer(directive, "accepted")
    drain(log, 5_000)
    said = log.wait(8_000)
    (leave,) = said.directives("leave_coalition")
    assert leave["agent_id"] == "a1"
    assert said.alerts("coalition_degraded")
    assert log.task_row().attempts == 0


def test_who_leaves_and_comes_back_is_still_drained_and_has_no_deadline(log: FleetLog) -> None:
    drain(log, 5_000)
    log.fact("agent_deregistered", agent_id="a1")
    log.wait(10_000)
    log.fact("agent_registered", agent_id="a1", incarnation=2)
    shown: Any = view_of(log.fold, "default", "a1")
    assert (shown["drained"], shown["drain_by"]) == (True, None)


def test_a_restored_fold_knows_the_deadline(log: FleetLog) -> None:
    log.run("t1")
    drain(log, MINUTE)
    log.fold.restored()
    log.fold.validate()
    assert withdrawn(log.wait(MINUTE + 2_000)) == ["t1"]
