"""Preemption: who may take whose place, what the planner proposes, and what the fold lets pass."""

from __future__ import annotations

import pytest

from models.fleet_records import ProposedPreemption
from streams.planner import WaterFillPlanner, plannable, snapshot
from streams.planner.preemption import MOST
from tests.unit.models.fleet.log import FleetLog


def fleet(preemption: int = 2, **planning: object) -> FleetLog:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"planning": {"preemption": preemption, **planning}})
    return log


@pytest.fixture
def log() -> FleetLog:
    """Preemption by two levels of priority."""
    return fleet()


def proposed(log: FleetLog) -> list[tuple[str, str, str]]:
    """(victim, agent, for whom), by the real planner."""
    view = snapshot(log.fold, "default")
    assert view is not None
    plan = WaterFillPlanner().plan(view, view.policy)
    entries = [] if plan is None else plan.directives
    return [(e.task_id, e.agent_id, e.for_task) for e in entries if isinstance(e, ProposedPreemption)]


def test_a_much_more_urgent_task_takes_the_place_of_the_least_urgent_that_began_last(log: FleetLog) -> None:
    log.agent("a1", slots=3)
    log.agent("a2")
    log.run("worthy", priority=5)
    log.run("first", priority=3)
    log.tick()
    log.run("second", priority=3)
    log.run("equal", "a2", priority=6)
    log.task("urgent", priority=7)
    assert plannable(log.fold, "default")
    assert proposed(log) == [("second", "a1", "urgent")]
    (withdrawal,) = log.place().directives()
    assert (withdrawal["type"], withdrawal["task_id"]) == ("withdraw_task", "second")
    victim = log.task_row("second")
    assert (victim.state, victim.attempts, victim.deliveries, victim.last_reason) == (
        "pending",
        0,
        0,
        "preempted",
    )
    assert log.explain("urgent")["reason"] == "preempting"
    assert proposed(log) == [], "it waits for that one"
    log.answer(withdrawal, "completed")
    assert [d["task_id"] for d in log.place().directives("assign_task")] == ["urgent"]


def test_a_victim_that_does_not_answer_gives_way_when_its_time_is_over(log: FleetLog) -> None:
    log.agent("a1")
    log.run("old", priority=1, ack_timeout=2)
    log.task("urgent", priority=9)
    log.place()
    log.wait(2_000)
    assert [d["task_id"] for d in log.place().directives("assign_task")] == ["urgent"]


@pytest.mark.parametrize(("preemption", "priority", "expected"), [(0, 9, 0), (3, 7, 0), (3, 8, 1), (1, 6, 1)])
def test_only_by_so_many_levels_and_never_unless_switched_on(
    preemption: int, priority: int, expected: int
) -> None:
    log = fleet(preemption)
    log.agent("a1")
    log.run("old", priority=5)
    log.task("urgent", priority=priority)
    assert len(proposed(log)) == expected
    assert plannable(log.fold, "default") == expected


def test_what_a_task_has_gained_by_waiting_protects_it_and_gives_no_right_to_preempt() -> None:
    log = fleet(ageing=1)
    log.task("old", priority=3)
    log.wait(2_100)
    log.agent("a1")
    log.plan(("old", "a1", 1))
    assert log.task_row("old").standing == 5
    log.task("urgent", priority=6)
    assert proposed(log) == []
    log.task("more-urgent", priority=7)
    assert proposed(log) == [("old", "a1", "more-urgent")]
    log.fact("task_cancelled", task_id="more-urgent")
    log.wait(5_000)
    assert proposed(log) == []


def test_where_there_is_room_nobody_gives_way(log: FleetLog) -> None:
    log.agent("a1")
    log.agent("a2")
    log.run("old", priority=1)
    log.task("urgent", priority=9)
    assert proposed(log) == []


def test_a_victim_must_make_room_for_what_the_urgent_one_needs(log: FleetLog) -> None:
    log.agent("a1", slots=2, resources={"gpu": 2}, capabilities=["saw"])
    log.agent("a2", capabilities=["weld"])
    log.run("elsewhere", "a2", priority=0)
    log.run("small", priority=1)
    log.run("gpu", priority=3, requires={"resources": {"gpu": 2}})
    log.task("urgent", priority=9, requires={"capabilities": ["saw"], "resources": {"gpu": 1}})
    assert proposed(log) == [("gpu", "a1", "urgent")]


def test_a_coalitions_members_give_way_to_nobody_and_coalitions_preempt_nobody(log: FleetLog) -> None:
    log.agent("a1")
    log.agent("a2")
    log.task("team", priority=0, coalition={"roles": [{"role": "x", "count": 2}]})
    log.place()
    log.task("urgent", priority=9)
    assert proposed(log) == []
    log.fact("task_cancelled", task_id="team")
    log.wait(30_000)
    log.place()
    log.task("team-2", priority=9, coalition={"roles": [{"role": "x", "count": 2}]})
    log.run("low", "a2", priority=0)
    assert proposed(log) == []


def test_a_plan_has_few_victims_one_for_each_task_and_agent(log: FleetLog) -> None:
    for number in range(MOST + 5):
        log.agent(f"a{number:02}", slots=2)
        log.run(f"l{number:02}", f"a{number:02}", priority=1)
        log.run(f"m{number:02}", f"a{number:02}", priority=1)
    for number in range(MOST + 5):
        log.task(f"u{number:02}", priority=8)
    found = proposed(log)
    assert len(found) == MOST
    assert len({agent for _, agent, _ in found}) == MOST
    assert [urgent for *_, urgent in found] == [f"u{number:02}" for number in range(MOST)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task_id": "unheard"}, "unknown_task"),
        ({"for_task": "unheard"}, "unknown_task"),
        ({"task_id": "urgent"}, "not_assigned"),
        ({"agent_id": "a2"}, "not_assigned"),
        ({"epoch": 2}, "stale_epoch"),
        ({"for_task": "other"}, "not_pending"),
        ({"for_task": "usual"}, "priority"),
        ({"for_task": "large"}, "slots"),
    ],
)
def test_the_fold_lets_pass_only_what_still_holds(
    log: FleetLog, change: dict[str, object], reason: str
) -> None:
    log.agent("a1", slots=2)
    log.run("low", priority=4)
    log.run("other", priority=9)
    log.task("urgent", priority=9)
    log.task("usual", priority=5)
    log.task("large", priority=9, slots=3)
    entry = {"type": "preempt_task", "task_id": "low", "agent_id": "a1", "epoch": 1, "for_task": "urgent"}
    said = log.propose({**entry, **change})
    assert not said.directives()
    assert log.fold.state.clock.refusals == {reason: 1}
    assert log.propose(entry).directive["type"] == "withdraw_task"
    log.plan(("low", "a1", 2))
    log.propose(entry)
    assert log.fold.state.clock.refusals["not_assigned"]


def test_a_plan_that_is_applied_twice_takes_one_victim(log: FleetLog) -> None:
    log.agent("a1", slots=2)
    log.run("low", priority=1)
    log.run("low-2", priority=1)
    log.task("urgent", priority=9)
    for victim, directives in (("low", 1), ("low-2", 0)):
        entry = {
            "type": "preempt_task",
            "task_id": victim,
            "agent_id": "a1",
            "epoch": 1,
            "for_task": "urgent",
        }
        assert len(log.propose(entry).directives()) == directives
    assert log.fold.state.clock.refusals == {"claimed": 1}
