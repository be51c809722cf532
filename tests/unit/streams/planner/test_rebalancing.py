"""Rebalancing: when tasks move, which and where to, and that they then stay."""

from __future__ import annotations

import pytest

from models.fleet_records import ProposedMove
from streams.planner import WaterFillPlanner, encode_plan, snapshot
from tests.unit.models.fleet.log import FleetLog, Said

GATE = {"moves": 2, "interval": 5, "cool_down": 60, "load_memory": 10}


def fleet(
    held: dict[str, int], slots: int = 10, agent: dict[str, object] | None = None, **gate: object
) -> FleetLog:
    """Agents of equal size, each with so many running tasks, for a while."""
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"rebalancing": {**GATE, **gate}})
    for name in held:
        log.agent(name, slots=slots, **(agent or {}))
    for name, count in held.items():
        for number in range(count):
            log.run(f"{name}-{number}", name)
    log.wait(300_000)
    return log


def proposed(log: FleetLog) -> list[tuple[str, str, str]]:
    """(task, from, to), by the real planner."""
    view = snapshot(log.fold, "default")
    assert view is not None
    plan = WaterFillPlanner().plan(view, view.policy) or WaterFillPlanner().rebalance(view, view.policy)
    entries = [] if plan is None else plan.directives
    return [(e.task_id, e.from_agent, e.agent_id) for e in entries if isinstance(e, ProposedMove)]


def place(log: FleetLog) -> Said:
    """A quiet round of planning, as the worker has it."""
    view = snapshot(log.fold, "default")
    assert view is not None
    plan = WaterFillPlanner().plan(view, view.policy) or WaterFillPlanner().rebalance(view, view.policy)
    return Said([]) if plan is None else log.append(encode_plan(plan))


def obey(log: FleetLog, said: Said) -> None:
    for directive in said.directives():
        log.answer(directive, "completed" if directive["type"] == "withdraw_task" else "accepted")


def loads(log: FleetLog) -> dict[str, int]:
    return {name: agent.held_slots for name, agent in log.fold.state.fleets["default"].agents.items()}


def test_tasks_that_began_last_move_from_who_has_most_to_who_has_least() -> None:
    log = fleet({"a1": 9, "a2": 5, "a3": 1})
    assert proposed(log) == [("a1-8", "a1", "a3"), ("a1-7", "a1", "a3")]


def test_a_move_is_one_step_and_the_agent_that_gets_it_is_named() -> None:
    log = fleet({"a1": 9, "a2": 5, "a3": 1})
    said = place(log)
    told = [(d["type"], d["agent_id"], d["task_id"], d["epoch"]) for d in said.directives()]
    assert told == [
        ("withdraw_task", "a1", "a1-8", 1),
        ("assign_task", "a3", "a1-8", 2),
        ("withdraw_task", "a1", "a1-7", 1),
        ("assign_task", "a3", "a1-7", 2),
    ]
    task = log.task_row("a1-8")
    assert (task.state, task.attempts, task.deliveries, task.last_reason) == ("assigned", 0, 0, "rebalanced")
    obey(log, said)
    assert loads(log) == {"a1": 7, "a2": 5, "a3": 3}


def test_it_goes_on_from_the_wide_band_to_the_narrow_one_and_then_rests() -> None:
    log = fleet({"a1": 20, "a2": 20, "a3": 0}, slots=40)
    moves = []
    for _ in range(60):
        said = place(log)
        moves += said.directives("assign_task")
        obey(log, said)
        log.wait(5_000)
    # Fourteen are a twentieth more than the mean of forty thirds.
    assert loads(log) == {"a1": 14, "a2": 14, "a3": 12}
    assert len(moves) == len({move["task_id"] for move in moves}) == 12, "nobody moves twice"


def test_a_difference_within_the_band_is_left_alone() -> None:
    assert proposed(fleet({"a1": 23, "a2": 20, "a3": 17}, slots=40)) == []


def test_a_difference_of_a_moment_is_left_alone() -> None:
    log = fleet({"a1": 5, "a2": 5}, load_memory=60)
    for number in range(4):
        log.run(f"new-{number}", "a1")
    assert proposed(log) == []
    log.wait(600_000)
    assert proposed(log)


def test_one_slot_of_few_is_not_moved_to_and_fro() -> None:
    assert proposed(fleet({"a1": 2, "a2": 1}, slots=2)) == []


def test_it_is_off_by_default_and_waits_between_two_plans() -> None:
    log = fleet({"a1": 9, "a2": 1})
    obey(log, place(log))
    log.wait(4_000)
    assert proposed(log) == []
    log.wait(1_000)
    assert proposed(log)
    log.fact("policy_changed", version=2, policy={"rebalancing": None})
    assert proposed(log) == []


def test_while_tasks_wait_for_a_place_nobody_moves() -> None:
    log = fleet({"a1": 9, "a2": 1})
    log.task("new")
    assert proposed(log) == []


def test_only_who_could_take_it_gets_it() -> None:
    log = fleet({"a1": 0, "a2": 0}, agent={"capabilities": ["saw"]})
    for number in range(6):
        log.run(f"t{number}", "a1", requires={"capabilities": ["saw"]})
    log.agent("other", slots=10)
    log.wait(100_000)
    assert {to for *_, to in proposed(log)} == {"a2"}
    log.fact("agent_cordoned", agent_id="a2")
    log.wait(100_000)
    assert proposed(log) == []


def test_nobody_leaves_a_place_that_it_prefers_for_less_load() -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"rebalancing": GATE})
    log.agent("a1", slots=10, zone="near")
    log.agent("a2", slots=10, zone="far")
    for number in range(6):
        log.run(f"t{number}", "a1", prefer={"zone": "near"})
    log.wait(100_000)
    # A slot less of load is worth 80; the zone is worth 150, until the loads differ by two.
    assert len(proposed(log)) == 2
    log.fact("policy_changed", version=2, policy={"planning": {"objective": {"wrong_zone": 10_000}}})
    assert proposed(log) == []


def test_members_of_coalitions_stay() -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"rebalancing": GATE})
    log.agent("a1", slots=10)
    for number in range(6):
        log.task(f"t{number}", coalition={"roles": [{"role": "x"}]})
    obey(log, place(log))
    log.agent("a2", slots=10)
    log.wait(20_000)
    assert proposed(log) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task_id": "unheard"}, "unknown_task"),
        ({"from_agent": "a2"}, "not_assigned"),
        ({"epoch": 1}, "stale_epoch"),
        ({"agent_id": "unheard"}, "unknown_agent"),
        ({"agent_id": "a1"}, "same_agent"),
        ({"agent_id": "full"}, "no_credit"),
    ],
)
def test_the_fold_lets_pass_only_what_still_holds(change: dict[str, object], reason: str) -> None:
    log = fleet({"a1": 2, "a2": 0, "full": 10})
    entry: dict[str, object] = {
        "type": "move_task",
        "task_id": "a1-0",
        "from_agent": "a1",
        "agent_id": "a2",
        "epoch": 2,
    }
    assert not log.propose({**entry, **change}).directives()
    assert log.fold.state.clock.refusals == {reason: 1}
    assert len(log.propose(entry).directives()) == 2
    back = {**entry, "from_agent": "a2", "agent_id": "a1", "epoch": 3}
    assert not log.propose(back).directives()
    assert log.fold.state.clock.refusals == {reason: 1, "moved_lately": 1}
    log.fact("policy_changed", version=2, policy={"rebalancing": {"moves": 0}})
    assert not log.propose(back).directives()
    assert log.fold.state.clock.refusals["rebalancing_off"] == 1
