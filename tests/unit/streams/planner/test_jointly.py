"""Several coalitions of one priority: weighed against each other, where that harms nobody."""

from __future__ import annotations

from itertools import chain
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet.backlog import rank
from models.fleet_records import ProposedCoalition
from streams.planner import WaterFillPlanner, jointly, snapshot
from streams.planner.placement import DEFAULT_BUDGET
from streams.planner.room import Room
from tests.unit.models.fleet.log import FleetLog


def formed(log: FleetLog, budget: int = DEFAULT_BUDGET) -> tuple[dict[str, list[str]], int]:
    """The members of each coalition that is planned next, and what the plan costs."""
    view = snapshot(log.fold, "default")
    assert view is not None
    plan = WaterFillPlanner().plan(view, view.policy, budget)
    if plan is None:
        return {}, 0
    entries = [entry for entry in plan.directives if isinstance(entry, ProposedCoalition)]
    teams = {entry.task_id: [member.agent_id for member in entry.members] for entry in entries}
    return teams, plan.objective


def contested() -> FleetLog:
    """The cheapest agent for the first task is the only one for the second."""
    log = FleetLog()
    log.agent("both", capabilities=["x", "y"])
    log.agent("one", capabilities=["x"])
    log.works_at("both", 2.0)
    log.task("t1", coalition={"cover": ["x"]})
    log.task("t2", coalition={"cover": ["x", "y"], "max_size": 1})
    return log


def test_who_could_have_another_leaves_the_only_one_to_whom_needs_it() -> None:
    assert formed(contested())[0] == {"t1": ["one"], "t2": ["both"]}


def test_without_budget_each_has_the_cheapest_in_turn() -> None:
    assert formed(contested(), 1_000)[0] == {"t1": ["both"]}


def test_of_unlike_priority_the_higher_one_has_the_cheapest() -> None:
    log = contested()
    log.task("t0", priority=9, coalition={"cover": ["x"]})
    assert formed(log)[0]["t0"] == ["both"]


def test_nobody_is_in_two_teams_beyond_its_slots_and_slots_are_used() -> None:
    log = FleetLog()
    log.agent("a", capabilities=["x", "y"], slots=2)
    log.agent("b", capabilities=["x"])
    for number in range(4):
        log.task(f"t{number}", coalition={"cover": ["x"]})
    teams, _ = formed(log)
    assert sorted(agent for team in teams.values() for agent in team) == ["a", "a", "b"]
    assert list(teams) == ["t0", "t1", "t2"]


def test_roles_and_resources_take_theirs_in_turn() -> None:
    log = contested()
    log.agent("third", capabilities=["z"], resources={"gpu": 1})
    log.task("t3", coalition={"cover": ["z"]}, requires={"resources": {"gpu": 1}})
    log.agent("lead")
    log.task("t4", coalition={"roles": [{"role": "r"}]}, size=0.1)
    teams, _ = formed(log)
    assert teams["t3"] == ["third"]
    assert teams.keys() == {"t1", "t2", "t3", "t4"}


@st.composite
def worlds(draw: st.DrawFn) -> FleetLog:
    log = FleetLog()
    skills = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True)
    for number in range(draw(st.integers(1, 7))):
        log.agent(f"a{number}", capabilities=draw(skills), slots=draw(st.integers(1, 2)))
        log.works_at(f"a{number}", draw(st.sampled_from([0.5, 1.0, 2.0])))
    for number in range(draw(st.integers(2, 6))):
        wish = {"cover": draw(skills), "max_size": draw(st.integers(1, 3))}
        log.task(f"t{number}", coalition=wish, size=draw(st.sampled_from([1, 1, 5])))
    return log


def chosen(log: FleetLog) -> tuple[dict[str, jointly.Seats], int]:
    """The teams of all tasks at once, as one group, and what they cost."""
    view = snapshot(log.fold, "default")
    assert view is not None
    room = Room(view.columns, view.policy.planning.objective, view.groups.draft())
    tasks = sorted((view.task(name) for _, _, _, name in chain(*(c.queue for c in view.classes))), key=rank)
    wishes = [jointly.Wish(task, view.class_of(task), task.team, []) for task in tasks if task.team]
    found = jointly.teams(room, wishes, view.policy.planning.objective.unplaced, 10**6)
    teams = {wish.task.task_id: seats for wish, seats in zip(wishes, found, strict=True) if seats is not None}
    return teams, jointly.cost_of_all(room, wishes, found)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_whoever_would_have_a_team_in_turn_has_one_and_the_same_cost_no_more(log: FleetLog) -> None:
    with patch.object(jointly, "MOST_TASKS", 0):
        in_turn, cost = chosen(log)
    weighed, less = chosen(log)
    assert weighed.keys() >= in_turn.keys()
    assert less <= cost or weighed.keys() > in_turn.keys()


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_the_fold_takes_all_of_it(log: FleetLog) -> None:
    teams, _ = formed(log)
    directives = log.place().directives("join_coalition")
    assert not log.fold.state.clock.refusals
    assert len(directives) == sum(map(len, teams.values()))
