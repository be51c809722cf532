"""What tenants may hold at once: slots and resources, by quota and by allocation, whichever is lower."""

from __future__ import annotations

import pytest

from streams.planner import WaterFillPlanner, snapshot
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    """Two agents with eight slots and four GPUs in all; ``x`` may hold three slots."""
    log = FleetLog()
    for name in ("a1", "a2"):
        log.agent(name, slots=4, resources={"gpu": 2})
    govern(log, quotas={"x": {"slots": 3}})
    return log


def govern(log: FleetLog, version: int = 1, **planning: object) -> None:
    assert not log.fact("policy_changed", version=version, policy={"planning": planning}).rejections


def placed(log: FleetLog) -> list[str]:
    return sorted(directive["task_id"] for directive in log.place().directives())


def test_a_tenant_holds_no_more_than_its_quota_and_others_go_before_it(log: FleetLog) -> None:
    for number in range(5):
        log.task(f"x{number}", tenant="x", priority=9)
        log.task(f"y{number}", tenant="y", priority=1)
    assert placed(log) == ["x0", "x1", "x2", "y0", "y1", "y2", "y3", "y4"]
    assert not log.place()


def test_what_ends_makes_room_for_the_next_one(log: FleetLog) -> None:
    for number in range(4):
        log.task(f"x{number}", tenant="x")
    first = log.place().directives()[0]
    log.answer(first, "completed")
    assert placed(log) == ["x3"]


def test_a_plan_that_would_exceed_it_is_refused(log: FleetLog) -> None:
    log.task("t1", tenant="x", slots=2)
    log.task("t2", tenant="x", slots=2)
    assert log.plan(("t1", "a1", 1)).directives()
    assert not log.plan(("t2", "a1", 1)).directives()
    assert log.fold.state.clock.refusals == {"quota": 1}


def test_what_waits_for_its_quota_says_so(log: FleetLog) -> None:
    log.task("t1", tenant="x", slots=2)
    log.task("t2", tenant="x", slots=2)
    assert placed(log) == ["t1"]
    explanation = log.explain("t2")
    assert explanation["reason"] == "quota"
    assert explanation["quota"] == {"tenant": "x", "resource": "slots", "limit": 3, "held": 2, "wanted": 2}
    assert explanation["counts"] == {"eligible": 2}


def test_resources_have_quotas_of_their_own(log: FleetLog) -> None:
    govern(log, 2, quotas={"x": {"gpu": 1.5, "slots": None}})
    for number in range(3):
        log.task(f"gpu{number}", tenant="x", requires={"resources": {"gpu": 1}})
        log.task(f"cpu{number}", tenant="x")
    assert placed(log) == ["cpu0", "cpu1", "cpu2", "gpu0"]


def test_the_lower_of_quota_and_allocation_holds(log: FleetLog) -> None:
    govern(log, 2, allocations={"x": {"slots": 1}, "y": {"slots": 2}})
    for number in range(4):
        log.task(f"x{number}", tenant="x")
        log.task(f"y{number}", tenant="y")
        log.task(f"z{number}")
    assert placed(log) == ["x0", "y0", "y1", "z0", "z1", "z2", "z3"]


def test_all_members_of_a_coalition_count(log: FleetLog) -> None:
    log.task("t1", tenant="x", slots=2, coalition={"roles": [{"role": "r", "count": 2}]})
    assert not log.place()
    members = [{"agent_id": "a1", "role": "r"}, {"agent_id": "a2", "role": "r"}]
    log.propose({"type": "form_coalition", "task_id": "t1", "epoch": 1, "members": members})
    assert log.fold.state.clock.refusals == {"quota": 1}
    govern(log, 2, quotas={"x": {"slots": 4}})
    assert len(log.place().directives()) == 2


def test_what_an_agent_has_not_let_go_of_counts(log: FleetLog) -> None:
    for number in range(4):
        log.task(f"x{number}", tenant="x")
    log.place()
    withdrawal = log.fact("task_cancelled", task_id="x0").directive
    assert not log.place()
    log.answer(withdrawal, "completed")
    assert placed(log) == ["x3"]


def test_a_task_takes_the_place_of_one_of_its_own_tenant_but_no_others_beyond_its_quota(
    log: FleetLog,
) -> None:
    govern(log, 2, preemption=1)
    for number in range(3):
        log.run(f"x{number}", "a1", tenant="x", priority=1)
    log.run("y0", "a2", tenant="y", priority=1)
    log.task("urgent", tenant="x", priority=9)
    other = {"type": "preempt_task", "task_id": "y0", "agent_id": "a2", "epoch": 1, "for_task": "urgent"}
    assert not log.propose(other).directives()
    own = {"type": "preempt_task", "task_id": "x0", "agent_id": "a1", "epoch": 1, "for_task": "urgent"}
    assert log.propose(own).directive["type"] == "withdraw_task"


def test_a_task_does_not_move_while_its_tenant_has_all_it_may(log: FleetLog) -> None:
    log.fact("policy_changed", version=2, policy={"rebalancing": {"moves": 1}})
    for number in range(3):
        log.run(f"x{number}", "a1", tenant="x")
    move = {"type": "move_task", "task_id": "x0", "from_agent": "a1", "agent_id": "a2", "epoch": 2}
    assert not log.propose(move).directives()
    assert log.fold.state.clock.refusals == {"quota": 1}


def test_reports_tell_it_from_a_full_fleet(log: FleetLog) -> None:
    govern(log, 2, quotas={"x": {"slots": 0}})
    log.task("x1", tenant="x")
    start = log.now // 10_000 * 10
    log.own("window_closed", start=start, end=start + 10, agents={})
    (report,) = log.wait(30_000).reports()
    assert report["queue"] == {
        "pending": 1,
        "waiting": 0,
        "full": 0,
        "quota": 1,
        "impossible": 0,
        "coalition": 0,
    }


def test_a_restored_fold_knows_what_tenants_hold(log: FleetLog) -> None:
    for number in range(4):
        log.task(f"x{number}", tenant="x")
    log.place()
    log.fold.restored()
    log.fold.validate()
    assert log.explain("x3")["reason"] == "quota"


def test_a_lower_quota_takes_nothing_away(log: FleetLog) -> None:
    directives = [log.run(f"x{number}", "a1", tenant="x") for number in range(3)]
    govern(log, 2, quotas={"x": {"slots": 1}})
    log.task("next", tenant="x")
    for directive in directives[:2]:
        log.answer(directive, "completed")
        assert not log.place()
    log.answer(directives[2], "completed")
    assert placed(log) == ["next"]


def test_a_cover_may_have_as_many_members_as_the_quota_allows(log: FleetLog) -> None:
    govern(log, 2, quotas={"x": {"slots": 1}})
    log.agent("all", capabilities=["a", "b", "c"])
    for name in "abc":
        log.agent(name, capabilities=[name])
        log.works_at(name, 8.0)
    log.task("t1", tenant="x", coalition={"cover": ["a", "b", "c"]})
    assert [directive["agent_id"] for directive in log.place().directives()] == ["all"]


def test_the_planner_lets_a_tenants_task_take_the_place_of_one_of_its_own(log: FleetLog) -> None:
    govern(log, 2, preemption=1)
    for number in range(3):
        log.run(f"x{number}", "a1", tenant="x", priority=1)
    for number in range(5):
        log.run(f"n{number}", "a1" if number == 0 else "a2")
    log.task("urgent", tenant="x", priority=9)
    withdrawal = log.place().directive
    assert (withdrawal["type"], withdrawal["task_id"]) == ("withdraw_task", "x0")


def test_no_more_give_way_than_the_quota_lets_in(log: FleetLog) -> None:
    govern(log, 2, preemption=1, quotas={"x": {"slots": 1}})
    for number in range(8):
        log.run(f"y{number}", "a1" if number < 4 else "a2", tenant="y", priority=1)
    for number in range(3):
        log.task(f"urgent{number}", tenant="x", priority=9)
    assert len(log.place().directives()) == 1
    assert not log.place().directives(), "its claim counts"


def test_who_holds_all_it_may_does_not_hold_back_the_level_of_others(log: FleetLog) -> None:
    """A newcomer begins level with those who get work, not with one whom its quota keeps from it."""
    govern(log, 2, quotas={"x": {"slots": 0}})
    log.task("x0", tenant="x")
    for number in range(20):
        log.task(f"c{number:02}", tenant="c")
    for directive in log.place().directives():
        log.answer(directive, "completed")
    for number in range(20):
        log.task(f"b{number:02}", tenant="b")
    tenants = [directive["task_id"][0] for directive in log.place().directives()]
    assert (tenants.count("b"), tenants.count("c")) == (4, 4)


def test_nor_does_it_take_all_once_its_quota_is_raised(log: FleetLog) -> None:
    govern(log, 2, quotas={"x": {"slots": 0}})
    for number in range(20):
        log.task(f"x{number:02}", tenant="x")
        log.task(f"c{number:02}", tenant="c")
    for directive in log.place().directives():
        log.answer(directive, "completed")
    govern(log, 3, quotas={"x": {"slots": 100}})
    tenants = [directive["task_id"][0] for directive in log.place().directives()]
    assert (tenants.count("x"), tenants.count("c")) == (4, 4)


def test_many_tenants_at_their_quota_cost_a_plan_little(log: FleetLog) -> None:
    govern(log, 2, quotas={f"t{number}": {"slots": 0} for number in range(60)})
    for number in range(60):
        log.task(f"blocked{number}", tenant=f"t{number}", priority=9)
    log.task("free", priority=1)
    view = snapshot(log.fold, "default")
    assert view is not None
    plan = WaterFillPlanner().plan(view, view.policy, 5_000)
    assert plan is not None
    assert [entry.task_id for entry in plan.directives] == ["free"]
