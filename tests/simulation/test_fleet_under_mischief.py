"""Whole runs of a fleet in virtual time, in which agents, planners and operators do their worst."""

from __future__ import annotations

import pytest

from models.fleet import FleetFold
from tests.simulation.fleet_world import EVENTS_PARTITIONS, FleetWorld
from tests.unit.models.fleet.log import restored_from, rows_of

MINUTE = 60_000


def finished_world(seed: int) -> FleetWorld:
    world = FleetWorld(seed)
    world.begin()
    world.run(MINUTE)
    world.calm()
    world.run(4 * MINUTE)
    return world


@pytest.mark.parametrize("seed", range(12))
def test_every_task_ends_exactly_once_whatever_happens(seed: int) -> None:
    world = finished_world(seed)
    assert not world.fold.state.tables.tasks.rows, "nothing may wait for ever"
    assert not world.fold.state.tables.directives.rows, "every directive ends"
    assert {task: len(results) for task, results in world.results.items()} == dict.fromkeys(world.tasks, 1)
    completed = [r for (r,) in world.results.values() if r["type"] == "task_completed"]
    assert len(completed) > len(world.tasks) / 2
    for result in completed:
        assert result["epoch"] == world.epochs[result["task_id"]], "only the last assignment may complete"


@pytest.mark.parametrize("seed", [100, 101])
def test_a_cold_fold_of_the_log_gives_the_same_rows_and_bytes(seed: int) -> None:
    world = FleetWorld(seed)
    world.begin()
    world.run(MINUTE)
    cold = FleetFold(0, EVENTS_PARTITIONS)
    assert cold.fold(world.log) == world.outputs
    assert rows_of(cold) == rows_of(world.fold)


@pytest.mark.parametrize("seed", [200, 201])
def test_restarts_at_many_points_of_a_run_change_nothing(seed: int) -> None:
    world = FleetWorld(seed, tasks=40)
    world.begin()
    world.run(MINUTE)
    fold = FleetFold(0, EVENTS_PARTITIONS)
    outputs = []
    for start in range(0, len(world.log), 37):
        outputs += fold.fold(world.log[start : start + 37])
        fold = restored_from(rows_of(fold), EVENTS_PARTITIONS)
    assert outputs == world.outputs
    assert rows_of(fold) == rows_of(world.fold)


def test_the_mischief_reaches_what_it_is_meant_to_reach() -> None:
    reached: set[str] = set()
    outages = 0
    for seed in (0, 1, 5):
        clock = finished_world(seed).fold.state.clock
        reached.update(clock.operations, clock.rejections, clock.refusals)
        outages += clock.outage
        assert clock.outcomes["duplicate"] > 0
    assert outages > 0
    assert reached >= {
        "assign_task",
        "withdraw_task",
        "join_coalition",
        "leave_coalition",
        "coalition_degraded",
        "not_degraded",
        "drain",
        "resume",
        "agent_lost",
        "task_failed",
        "task_cancelled",
        "wrong_epoch",
        "not_live",
        "not_pending",
        "no_credit",
    }
