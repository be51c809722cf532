"""What plans cost: what they say themselves, by the weights that they were made by."""

from __future__ import annotations

import asyncio

import pytest

from models.fleet_records import CoordinationPlan, ProposedDirective, ProposedMove
from models.objective import DEFAULT_WEIGHTS, Weights
from streams.audit.archive import Archive
from streams.audit.past import Log
from streams.audit.plans import plan_in
from streams.planner import snapshot
from streams.planner.price import Price, price
from tests.golden.corpus import logs
from tests.unit.models.fleet.log import FleetLog


async def plans_by_base(log: Log) -> dict[int, CoordinationPlan]:
    found = {}
    async for records in log.history.batches("fleet", log.place.partition, log.extent):
        for record in records:
            plan = plan_in(record)
            if plan is not None and plan.fleet == log.fleet:
                found.setdefault(plan.based_on, plan)
    return found


@pytest.mark.parametrize("fleet", ["default", "north"])
def test_plans_cost_what_they_say(fleet: str) -> None:
    """In a life with every kind of entry; several slots of one agent may be rounded in another order."""
    golden = next(path for path in logs() if path.name == "life")
    log = asyncio.run(Log.of(Archive.open(golden), fleet))
    plans = asyncio.run(plans_by_base(log))
    fold, looked, kinds = log.new_fold(), 0, set()

    async def fold_all() -> None:
        nonlocal looked
        async for records in log.history.batches("fleet", log.place.partition, log.extent):
            for record in records:
                fold.fold([record])
                if record.offset not in plans:
                    continue
                plan = plans[record.offset]
                kinds.update(entry.type for entry in plan.directives)
                seen = snapshot(fold, fleet)
                assert seen is not None
                weights = seen.policy.planning.objective
                found = price(seen, weights, plan.directives)
                if plan.bound is None:  # of moves, which say nothing of what they cost
                    continue
                looked += 1
                left = (sum(plan.pending.values()) - found.placed) * weights.unplaced
                several = sum(
                    len(getattr(entry, "members", [entry]))
                    for entry in plan.directives
                    if seen.task(entry.task_id).slots > 1
                )
                assert abs(found.cost + left - plan.objective) <= several

    asyncio.run(fold_all())
    assert looked > 20
    assert kinds >= {"assign_task", "form_coalition", "repair_coalition"}


def test_each_slot_of_an_agent_costs_more_than_the_one_before_and_strangers_nothing() -> None:
    log = FleetLog()
    log.agent("a1", slots=2, zone="east")
    log.task("t1", prefer={"zone": "west"}, size=2)
    log.task("t2", size=1)
    seen = snapshot(log.fold, "default")
    assert seen is not None

    def of(*entries: ProposedDirective | ProposedMove, weights: Weights = DEFAULT_WEIGHTS) -> Price:
        assert seen is not None
        return price(seen, weights, entries)

    first = ProposedDirective(task_id="t1", agent_id="a1", epoch=1)
    second = ProposedDirective(task_id="t2", agent_id="a1", epoch=1)
    assert of(first) == Price(200 + 150 + 200, 1)
    assert of(second) == Price(100 + 200, 1)
    assert of(first, second) == Price(200 + 150 + 200 + 100 + 600, 2)
    assert of(first, weights=Weights(load=0, wrong_zone=0)) == Price(200, 1)
    assert of(ProposedDirective(task_id="t9", agent_id="a1", epoch=1)) == Price(0, 0)
    assert of(ProposedDirective(task_id="t1", agent_id="a9", epoch=1)) == Price(0, 1)
    assert of(ProposedMove(task_id="t1", from_agent="a1", agent_id="a2", epoch=2)) == Price(0, 0)
