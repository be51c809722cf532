"""The planner: who is placed first, on whom, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet_records import (
    MAX_FLEET_RECORD_BYTES,
    CoordinationPlan,
    ProposedCoalition,
    ProposedDirective,
    decode_fleet_record,
)
from models.fold import LogRecord
from streams.planner import WaterFillPlanner, encode_plan, plannable, snapshot
from streams.planner.placement import DEFAULT_BUDGET, MAX_ENTRIES
from streams.planner.turns import TASK_OVERHEAD
from streams.planner.waterfill import PORTION_OVERHEAD
from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def plan_of(log: FleetLog, budget: int = 10_000) -> CoordinationPlan | None:
    view = snapshot(log.fold, "default")
    assert view is not None
    return WaterFillPlanner().plan(view, view.policy, budget)


def placed(log: FleetLog, budget: int = 10_000) -> list[tuple[str, str]]:
    plan = plan_of(log, budget)
    entries = [] if plan is None else plan.directives
    return [(entry.task_id, entry.agent_id) for entry in entries if isinstance(entry, ProposedDirective)]


def formed(log: FleetLog) -> list[tuple[str, str, dict[str, str | None]]]:
    """Coalitions of the next plan: task, what is done, and the members' roles."""
    plan = plan_of(log, DEFAULT_BUDGET)
    entries = [] if plan is None else plan.directives
    return [
        (entry.task_id, entry.type, {member.agent_id: member.role for member in entry.members})
        for entry in entries
        if isinstance(entry, ProposedCoalition)
    ]


def submit(log: FleetLog, tasks: Iterable[dict[str, object]]) -> None:
    """Submit many tasks at once, without checking all invariants after each."""
    for number, task in enumerate(tasks):
        source = {"partition": 0, "offset": 1_000 + number, "index": 0}
        fact = {"type": "task_submitted", "source": source, "through": log.now / 1000, "event": task}
        log.log.append(LogRecord(len(log.log), log.now, b"default", orjson.dumps(fact)))
        log.fold.fold(log.log[-1:])


def test_there_is_no_plan_without_pending_tasks_or_free_agents(log: FleetLog) -> None:
    assert snapshot(log.fold, "default") is None
    log.agent()
    assert plan_of(log) is None
    log.task()
    log.place()
    log.task("t2")
    assert plan_of(log) is None
    assert plannable(log.fold, "default") == 0
    assert plannable(log.fold, "nobody") == 0


def test_higher_priority_goes_first(log: FleetLog) -> None:
    log.agent()
    log.task("t1", priority=1)
    log.task("t2", priority=9, requires={"labels": {}})
    assert placed(log) == [("t2", "a1")]


def test_among_equals_the_earlier_deadline_goes_first_then_the_older(log: FleetLog) -> None:
    log.agent(slots=4)
    soon, later = log.now / 1000 + 100, log.now / 1000 + 200
    log.task("t1")
    log.task("t2", deadline=later)
    log.task("t3", deadline=soon)
    log.task("t0")
    assert [task for task, _ in placed(log)] == ["t3", "t2", "t1", "t0"]


def test_order_holds_across_requirements(log: FleetLog) -> None:
    log.agent(slots=2, capabilities=["saw", "weld"])
    log.task("t1", priority=1, requires={"capabilities": ["saw"]})
    log.task("t2", priority=3, requires={"capabilities": ["weld"]})
    log.task("t3", priority=2, requires={"capabilities": ["saw"]})
    assert [task for task, _ in placed(log)] == ["t2", "t3"]


def test_work_spreads_in_proportion_to_slots(log: FleetLog) -> None:
    log.agent("a1", slots=2)
    log.agent("a2", slots=4)
    for number in range(3):
        log.task(f"t{number}")
    assert sorted(agent for _, agent in placed(log)) == ["a1", "a2", "a2"]


def test_load_is_what_the_ledger_holds_not_what_agents_report(log: FleetLog) -> None:
    log.agent("a1", slots=2)
    log.agent("a2", slots=2)
    log.task("t1")
    log.plan(("t1", "a2", 1))
    log.fact("status_update", agent_id="a1", status="busy", current_load=0.99)
    log.task("t2")
    assert placed(log) == [("t2", "a1")]


def test_nobody_gets_more_than_its_slots_nor_its_resources(log: FleetLog) -> None:
    log.agent("a1", slots=3, resources={"gpu": 1})
    for number in range(5):
        log.task(f"t{number}", requires={"resources": {"gpu": 0.5}})
    assert len(placed(log)) == 2


def test_big_tasks_that_fit_nowhere_do_not_hold_up_small_ones(log: FleetLog) -> None:
    log.agent("a1", slots=4)
    log.task("t1", slots=3)
    log.place()
    log.task("t2", slots=2, priority=9)
    log.task("t3", slots=1)
    assert placed(log) == [("t3", "a1")]


def test_a_task_that_its_only_agent_refused_does_not_hold_up_others(log: FleetLog) -> None:
    log.answer(log.assigned(), "rejected")
    log.task("t2")
    assert placed(log) == [("t2", "a1")]


def test_what_the_planner_proposes_the_fold_accepts_in_full(log: FleetLog) -> None:
    for number in range(5):
        log.agent(f"a{number}", slots=number, capabilities=["saw"] * (number % 2), resources={"gpu": number})
    for number in range(20):
        log.task(
            f"t{number}",
            priority=number % 3,
            slots=1 + number % 2,
            requires={"capabilities": ["saw"] * (number % 2), "resources": {"gpu": number % 4 / 2}},
        )
    proposed = placed(log)
    assert [(d["task_id"], d["agent_id"]) for d in log.place().directives()] == proposed
    assert log.fold.state.clock.refusals == {}
    assert placed(log) == [], "it left nothing that it could have placed"


def test_a_plan_names_what_it_is_based_on_and_round_trips(log: FleetLog) -> None:
    log.agent()
    log.task("t1", priority=7)
    log.task("t2", requires={"capabilities": ["weld"]})
    plan = plan_of(log, budget=50)
    assert plan is not None
    assert plan.based_on == 2
    assert plan.plan_id == "default.2.water-fill-1"
    assert plan.priority == 7
    assert plan.constraints
    assert sum(plan.pending.values()) == 2
    assert plan.objective == 100 + 400 + 20_000, "the work, its slot, and the task that is left"
    assert plan.planner.budget == 50
    assert not plan.planner.truncated
    assert decode_fleet_record(encode_plan(plan)) == plan
    assert orjson.loads(encode_plan(plan))["type"] == "plan_proposed"


def test_equal_states_give_equal_plans_whatever_way_they_came_about(log: FleetLog) -> None:
    for number in range(9):
        log.agent(f"a{number}", slots=1 + number % 3, labels={"site": str(number % 2)})
        log.task(f"t{number}", requires={"labels": {"site": "1"}} if number % 2 else {})
    again = FleetLog()
    again.fold = restored_from(rows_of(log.fold), 1)
    for budget in (1, 3, 7, 12, 25, 10_000):
        assert plan_of(log, budget) == plan_of(again, budget)


@pytest.mark.parametrize("budget", [4, 10, 40])
def test_a_plan_that_runs_out_of_budget_proposes_what_it_has_and_the_next_goes_on(
    log: FleetLog, budget: int
) -> None:
    for number in range(10):
        log.agent(f"a{number}")
        log.task(f"t{number}")
    for _ in range(10):
        said = log.append(encode_plan(plan)) if (plan := plan_of(log, budget)) else None
        assert plan is None or (said and said.directives())
    assert log.fold.state.fleets["default"].row.assigned == 10


def test_a_plan_fits_into_its_record_however_much_waits(log: FleetLog) -> None:
    waiting = 12_000
    log.agent("a" * 128, slots=100_000, labels={f"label-{number}": "x" for number in range(64)})
    tasks = (
        {
            "task_id": f"{number:0128}",
            # Each is a class of its own, and the agent could hold any of them.
            "requires": {"labels": {f"label-{number % 64}": "x"}},
            "slots": 1 + number // 64,
        }
        for number in range(waiting)
    )
    submit(log, tasks)
    plan = plan_of(log, budget=DEFAULT_BUDGET)
    assert plan is not None
    assert sum(plan.pending.values()) == waiting
    assert len(plan.pending) < waiting
    assert 0 < len(encode_plan(plan)) < MAX_FLEET_RECORD_BYTES // 2
    assert decode_fleet_record(encode_plan(plan)) == plan


def test_a_plan_has_so_many_entries_and_the_next_goes_on(log: FleetLog) -> None:
    log.agent(slots=100_000)
    submit(log, ({"task_id": f"t{number}"} for number in range(MAX_ENTRIES + 1)))
    plan = plan_of(log, DEFAULT_BUDGET)
    assert plan is not None
    assert len(plan.directives) == MAX_ENTRIES
    log.append(encode_plan(plan))
    assert placed(log, DEFAULT_BUDGET) == [(f"t{MAX_ENTRIES}", "a1")]


def test_cost_goes_with_classes_not_with_tasks_times_agents(log: FleetLog) -> None:
    for number in range(30):
        log.agent(f"a{number}")
    submit(log, ({"task_id": f"t{number}"} for number in range(300)))
    plan = plan_of(log, budget=PORTION_OVERHEAD + 30 + 30 * TASK_OVERHEAD)
    assert plan is not None
    assert len(plan.directives) == 30
    assert not plan.planner.truncated


def test_a_plan_that_was_cut_short_says_so(log: FleetLog) -> None:
    log.agent(slots=9)
    submit(log, ({"task_id": f"t{number}", "slots": 1 + number} for number in range(2)))
    plan = plan_of(log, budget=1)
    assert plan is not None
    assert [entry.task_id for entry in plan.directives] == ["t0"]
    assert plan.planner.truncated


def test_who_has_waited_long_comes_before_who_is_more_urgent(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"planning": {"ageing": 10}}, version=1)
    log.task("old", priority=4)
    log.wait(10_000)
    log.agent(slots=2)
    log.task("new", priority=5)
    log.task("urgent", priority=6)
    assert [task for task, _ in placed(log)] == ["urgent", "old"]


def test_of_equal_priority_the_one_with_the_least_slack_comes_first(log: FleetLog) -> None:
    log.agent(slots=2)
    log.task("sooner", deadline=log.now / 1000 + 100, size=1)
    log.task("longer", deadline=log.now / 1000 + 120, size=60)
    log.task("whenever")
    assert [task for task, _ in placed(log)] == ["longer", "sooner"]


def test_preferences_count_and_are_no_requirements(log: FleetLog) -> None:
    log.agent("a1", slots=8, zone="east")
    log.agent("a2", slots=8, zone="west", labels={"disk": "ssd"})
    log.task("t1", prefer={"zone": "west"})
    log.task("t2", prefer={"labels": {"disk": "ssd"}})
    log.task("t3", prefer={"zone": "east"})
    log.task("t4", prefer={"zone": "north"})
    assert dict(placed(log)) == {"t1": "a2", "t2": "a2", "t3": "a1", "t4": "a1"}


def test_fast_agents_get_more_and_the_large_tasks(log: FleetLog) -> None:
    log.agent("a1", slots=2)
    log.agent("a2", slots=2)
    log.works_at("a2", 4.0)
    log.task("t1", size=31.0)
    log.task("t2", size=31.9)
    log.task("t3", size=31.5)
    assert dict(placed(log)) == {"t1": "a1", "t2": "a2", "t3": "a2"}


def test_tenants_take_turns_by_their_weights(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"planning": {"tenants": {"big": 3}}}, version=1)
    for number in range(40):
        log.task(f"big-{number:02}", tenant="big")
    for number in range(40):
        log.task(f"small-{number:02}", tenant="small")
    log.agent(slots=20)
    tenants = [task.partition("-")[0] for task, _ in placed(log)]
    assert (tenants.count("big"), tenants.count("small")) == (15, 5)


def test_a_tenant_that_wanted_nothing_does_not_catch_up(log: FleetLog) -> None:
    log.agent("a1", slots=10)
    for number in range(30):
        log.task(f"first-{number:02}", tenant="first")
    log.place()
    for number in range(10):
        log.task(f"second-{number}", tenant="second")
    log.agent("a2", slots=10)
    tenants = [task.partition("-")[0] for task, _ in placed(log)]
    assert (tenants.count("first"), tenants.count("second")) == (5, 5)


def test_a_higher_priority_of_another_tenant_comes_first_all_the_same(log: FleetLog) -> None:
    for number in range(4):
        log.task(f"usual-{number}", tenant="usual")
        log.task(f"urgent-{number}", tenant="urgent", priority=6)
    log.agent(slots=4)
    assert [task for task, _ in placed(log)] == [f"urgent-{number}" for number in range(4)]


def test_tasks_of_several_slots_and_of_resources_go_where_they_cost_least(log: FleetLog) -> None:
    log.agent("a1", slots=4, resources={"gpu": 1})
    log.agent("a2", slots=8, resources={"gpu": 2})
    log.task("t1", slots=3)
    log.task("t2", requires={"resources": {"gpu": 1.5}})
    log.task("t3", slots=3)
    assert dict(placed(log)) == {"t1": "a2", "t2": "a2", "t3": "a1"}


CREW = {"roles": [{"role": "lead", "capabilities": ["plan"]}, {"role": "hand", "count": 2}]}


def test_a_coalition_is_formed_of_those_who_cost_least(log: FleetLog) -> None:
    log.agent("a1", capabilities=["saw"])
    log.agent("a2", capabilities=["weld"], slots=4)
    log.agent("a3", capabilities=["weld"], slots=2)
    log.agent("a4", capabilities=["paint"], slots=9)
    log.task(coalition={"cover": ["saw", "weld"]})
    assert formed(log) == [("t1", "form_coalition", {"a1": None, "a2": None})]
    log.agent("a5", capabilities=["saw", "weld"], slots=4)
    assert formed(log) == [("t1", "form_coalition", {"a5": None})]


def test_roles_go_to_those_who_can_play_them_though_others_want_them_too(log: FleetLog) -> None:
    log.agent("a1", capabilities=["plan"], slots=9)
    log.agent("a2")
    log.task(coalition=CREW)
    assert formed(log) == [], "all or nothing"
    log.agent("a3")
    assert formed(log) == [("t1", "form_coalition", {"a1": "lead", "a2": "hand", "a3": "hand"})]


def test_what_binds_every_member_binds_every_member(log: FleetLog) -> None:
    log.agent("a1", capabilities=["saw"], resources={"gpu": 1})
    log.agent("a2", capabilities=["weld"])
    log.task(coalition={"cover": ["saw", "weld"]}, requires={"resources": {"gpu": 1}})
    assert formed(log) == []
    assert log.explain()["counts"] == {"resource": 1, "eligible": 1}
    log.agent("a3", capabilities=["weld"], slots=2, resources={"gpu": 1})
    assert formed(log) == [("t1", "form_coalition", {"a1": None, "a3": None})]


def test_coalitions_come_in_the_order_of_priority_and_before_others_of_their_own(log: FleetLog) -> None:
    for number in range(3):
        log.agent(f"a{number}", capabilities=["plan"])
    log.task("usual", coalition=CREW)
    log.task("single")
    assert formed(log)[0][0] == "usual"
    assert placed(log, DEFAULT_BUDGET) == []
    log.task("urgent", priority=6)
    assert formed(log) == []
    assert [task for task, _ in placed(log, DEFAULT_BUDGET)] == ["urgent", "single"]


def test_agents_are_kept_free_for_a_more_urgent_coalition_until_there_are_enough(log: FleetLog) -> None:
    busy = []
    for number in range(3):
        log.agent(f"a{number}", capabilities=["plan"])
        log.task(f"t{number}")
        busy.append(log.plan((f"t{number}", f"a{number}", 1)).directive)
    log.task("crew", coalition=CREW, priority=6)
    for number in range(5):
        log.task(f"usual-{number}")
    log.answer(busy[0], "completed")
    log.answer(busy[1], "completed")
    assert placed(log, DEFAULT_BUDGET) == []
    assert log.explain("usual-0")["reason"] == "outranked"
    log.agent("other", slots=2)
    assert [agent for _, agent in placed(log, DEFAULT_BUDGET)] == ["other"], "three are enough"
    log.task("urgent", priority=7)
    assert ("urgent", "other") in placed(log, DEFAULT_BUDGET)
    log.answer(busy[2], "completed")
    assert formed(log)[0][0] == "crew"


def test_nobody_is_kept_free_for_a_coalition_of_the_same_priority(log: FleetLog) -> None:
    log.agent("a0", capabilities=["plan"])
    log.task("crew", coalition=CREW)
    log.task("usual")
    log.agent("busy", slots=2)
    for number in range(2):
        log.task(f"t{number}")
        log.plan((f"t{number}", "busy", 1))
    assert placed(log, DEFAULT_BUDGET) == [("usual", "a0")]


def test_a_place_that_was_refused_is_filled_before_anything_new(log: FleetLog) -> None:
    log.agent("a1", capabilities=["plan"])
    log.agent("a2")
    log.agent("a3")
    log.task(coalition=CREW)
    joins = log.place().directives()
    log.answer(joins[1], "rejected")
    log.task("t2", priority=9)
    assert formed(log) == []
    log.agent("a4")
    assert formed(log) == [("t1", "repair_coalition", {"a4": "hand"})]
    assert [task for task, _ in placed(log)] == ["t2"], "whom the coalition would not ask again is free"


SKILLS = ["saw", "weld", "paint"]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Agents and tasks of all kinds, some of which do not fit together."""
    skills = st.lists(st.sampled_from(SKILLS), max_size=3, unique=True)
    zones = st.sampled_from([None, "east", "west"])
    labels = st.sampled_from([{}, {"site": "1"}, {"site": "2"}])
    agents = [
        {
            "agent_id": f"a{number}",
            "capabilities": draw(skills),
            "slots": draw(st.integers(0, 4)),
            "zone": draw(zones),
            "labels": draw(labels),
            "resources": {"gpu": draw(st.sampled_from([0, 1, 2.5]))},
            "only": draw(st.sampled_from([{}, {}, {"tenants": ["x"]}, {"capabilities": SKILLS[:1]}])),
        }
        for number in range(draw(st.integers(0, 6)))
    ]
    tasks = [
        {
            "task_id": f"t{number}",
            "requires": {
                "capabilities": draw(skills)[:1],
                "labels": draw(st.sampled_from([{}, {}, {"site": "1"}])),
                "resources": draw(st.sampled_from([{}, {}, {"gpu": 1}, {"gpu": 0.5}])),
            },
            "slots": draw(st.sampled_from([1, 1, 1, 2, 3])),
            "size": draw(st.sampled_from([0.1, 1.0, 1.1, 7, 300])),
            "priority": draw(st.integers(3, 6)),
            "tenant": draw(st.sampled_from([None, "x", "y"])),
            "prefer": {"zone": draw(zones), "labels": draw(labels)},
            **draw(
                st.sampled_from(
                    [
                        {},
                        {},
                        {"coalition": {"cover": SKILLS[:2]}},
                        {"coalition": {"cover": SKILLS, "max_size": 2}},
                        {
                            "coalition": {
                                "roles": [
                                    {"role": "r", "capabilities": SKILLS[:1]},
                                    {"role": "s", "count": 2},
                                ]
                            }
                        },
                        {"spread": {"group": "g"}},
                        {"spread": {"group": "g", "by": "zone", "most": 1}},
                        {"spread": {"group": "h", "by": "labels.site", "most": 2}},
                        {"spread": {"group": "h", "most": 1}},
                    ]
                )
            ),
        }
        for number in range(draw(st.integers(0, 14)))
    ]
    return agents, tasks


@settings(deadline=None)
@given(world=fleets(), refusals=st.integers(0, 3), budget=st.sampled_from([1, 2_500, DEFAULT_BUDGET]))
def test_the_fold_accepts_all_that_is_planned_and_no_room_stays_that_a_task_could_have(
    world: tuple[list[dict[str, object]], list[dict[str, object]]], refusals: int, budget: int
) -> None:
    log = FleetLog()
    agents, tasks = world
    for agent in agents:
        log.fact("agent_registered", **agent)
    for task in tasks:
        log.fact("task_submitted", **task)
    for directive in log.place().directives()[:refusals]:  # some have cooled down for their agents
        log.answer(directive, "rejected")
    for directive in log.place().directives()[:refusals]:
        log.answer(directive, "accepted")
    for _ in range(len(tasks) + 1):
        again = FleetLog()
        again.fold = restored_from(rows_of(log.fold), 1)
        plan = plan_of(log, budget) if snapshot(log.fold, "default") else None
        assert plan == (plan_of(again, budget) if snapshot(again.fold, "default") else None)
        if plan is None:
            break
        said = log.append(encode_plan(plan))
        asked = [
            (entry.task_id, agent)
            for entry in plan.directives
            for agent in (
                [entry.agent_id]
                if isinstance(entry, ProposedDirective)
                else [m.agent_id for m in entry.members]
            )
        ]
        assert [(d["task_id"], d["agent_id"]) for d in said.directives()] == asked
        assert log.fold.state.clock.refusals == {}
    else:
        pytest.fail("plans never come to an end")
    if budget == DEFAULT_BUDGET:
        waiting = [row for row in log.fold.state.tables.tasks.rows.values() if row.state == "pending"]
        # For a coalition agents are kept free of what is less urgent.
        urgent = max((row.priority for row in waiting if row.coalition is not None), default=0)
        for row in waiting:
            if row.coalition is None and row.priority >= urgent:
                assert "eligible" not in log.explain(row.task_id)["counts"]
