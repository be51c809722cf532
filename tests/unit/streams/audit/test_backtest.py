"""Another policy on recorded history, decision by decision."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.codec import InvalidRecord
from streams.audit.archive import Archive
from streams.audit.backtest import backtested
from streams.audit.history import History
from streams.audit.moments import NOW, InLog, Moment
from streams.audit.past import Log
from streams.audit.snapshots import NO_SNAPSHOTS, Snapshots
from streams.offsets import Start
from streams.planner import WaterFillPlanner, encode_plan, snapshot
from tests.golden.corpus import logs
from tests.unit.models.fleet.log import START, FleetLog
from tests.unit.streams.audit.recorded import of_fleet_log

LIFE = next(path for path in logs() if path.name == "life")
NEAR = {"planning": {"objective": {"wrong_zone": 5_000}}}
HEAPED = {"planning": {"objective": {"load": 0, "wrong_zone": 2_000}}}


def found_by(
    history: History,
    patch: dict[str, object],
    fleet: str = "default",
    first: int = 0,
    until: Moment = NOW,
    snapshots: Snapshots = NO_SNAPSHOTS,
) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        log = await Log.of(history, fleet)
        _, outcome = await backtested(log, first, until, patch, snapshots=snapshots)
        return outcome.on_wire()

    return asyncio.run(run())


@pytest.mark.parametrize("fleet", ["default", "north"])
@pytest.mark.parametrize("patch", [{}, {"planning": {"objective": {"load": 400}}, "retry": {"base": 9}}])
def test_a_policy_by_which_the_planner_decides_alike_makes_no_difference(
    fleet: str, patch: dict[str, object]
) -> None:
    found = found_by(Archive.open(LIFE), patch, fleet)
    assert found["plans"] > 30
    assert found["quiet"] > 3
    assert found["tasks"]["same"] > 50
    assert sum(found["tasks"].values()) == found["tasks"]["same"]
    assert found["entries"]["recorded"] == found["entries"]["other"]
    assert found["waits"]["recorded"] == found["waits"]["other"]
    assert found["differences"] == []
    for regret in found["regret"].values():
        assert (regret["more"], regret["worst"], regret["worst_based_on"]) == (0, 0, None)
        assert regret["cost"] > 0


def test_a_task_that_would_have_gone_elsewhere_costs_more_by_the_objective_of_the_other() -> None:
    log = FleetLog()
    log.agent("busy", slots=2, zone="west")
    log.agent("free", slots=2, zone="east")
    log.task("t1", prefer={"zone": "west"})
    log.place()
    log.task("t2", prefer={"zone": "west"}, after=500)
    base = len(log.log) - 1
    placed = log.place()
    assert placed.directive["agent_id"] == "free", "150 for the wrong zone, and 400 less for its load"
    found = found_by(of_fleet_log(log.log), NEAR)
    assert found["tasks"] == {"same": 1, "elsewhere": 1, "earlier": 0, "later": 0, "only_other": 0}
    (difference,) = found["differences"]
    assert difference == {
        "based_on": base,
        "time": (START + 500) / 1000,
        "task_id": "t2",
        "recorded": ("free",),
        "other": ("busy",),
    }
    first = 100 + 200
    assert found["regret"]["recorded"] == {
        "cost": first + 100 + 600,
        "more": 5_000 - 400,
        "share": 4_600 / 1_000,
        "worst": 4_600,
        "worst_based_on": base,
    }
    assert found["regret"]["other"] == {
        "cost": first + 100 + 150 + 200,
        "more": 250,
        "share": 250 / 750,
        "worst": 250,
        "worst_based_on": base,
    }


def test_what_waited_for_a_quota_would_have_been_placed_earlier() -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"planning": {"quotas": {"x": {"slots": 1}}}})
    log.agent("a1", slots=2)
    log.task("t1", tenant="x")
    directive = log.place().directive
    log.answer(directive, "accepted")
    log.task("t2", tenant="x")
    log.wait(4_000)
    log.answer(directive, "completed")
    assert log.place().directive["task_id"] == "t2"
    found = found_by(of_fleet_log(log.log), {"planning": {"quotas": None}})
    assert found["tasks"] == {"same": 1, "elsewhere": 0, "earlier": 1, "later": 0, "only_other": 0}
    assert found["gained"]["longest"] == pytest.approx(3, abs=0.01), "in the second after the plan it is seen"
    assert found["waits"]["recorded"]["longest"] == pytest.approx(4, abs=0.01)
    assert found["waits"]["other"]["longest"] == pytest.approx(1, abs=0.01)
    assert [(one["task_id"], one["recorded"]) for one in found["differences"]] == [("t2", None)]


def test_what_a_quota_would_have_held_back_is_later_and_what_nobody_got_is_told_apart() -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"planning": {"quotas": {"y": {"slots": 0}}}})
    log.agent("a1", slots=4)
    log.task("t1", tenant="x")
    log.task("t2", tenant="y")
    log.place()
    log.wait(2_000)
    quotas = {"planning": {"quotas": {"x": {"slots": 0}, "y": None}}}
    found = found_by(of_fleet_log(log.log), quotas)
    assert found["tasks"] == {"same": 0, "elsewhere": 0, "earlier": 0, "later": 1, "only_other": 1}
    fates = [(one["task_id"], one["recorded"], one["other"]) for one in found["differences"]]
    assert fates == [("t1", ("a1",), None), ("t2", None, ("a1",))]


def test_what_would_be_proposed_again_and_again_counts_once() -> None:
    log = FleetLog()
    log.agent("a1")
    log.answer(log.run("low", priority=1), "accepted")
    log.task("high", priority=9)
    log.wait(10_000)
    found = found_by(of_fleet_log(log.log), {"planning": {"preemption": 2}})
    assert found["quiet"] > 5
    assert found["entries"]["other"] == {"assign_task": 1, "preempt_task": 1}
    assert found["entries"]["recorded"] == {"assign_task": 1}


def test_a_plan_on_its_way_is_not_forestalled() -> None:
    """It takes two seconds to its place in the log; the other policy would have the same one made."""
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    seen = snapshot(log.fold, "default")
    assert seen is not None
    plan = WaterFillPlanner().plan(seen, seen.policy)
    assert plan is not None
    value = encode_plan(plan)
    log.wait(2_000)
    assert log.append(value).directive["task_id"] == "t1"
    found = found_by(of_fleet_log(log.log), {"retry": {"base": 9}})
    assert found["tasks"] == {"same": 1, "elsewhere": 0, "earlier": 0, "later": 0, "only_other": 0}


def test_of_a_part_of_history_only_that_part_is_judged(tmp_path: Path) -> None:
    history = Archive.open(LIFE)
    end = asyncio.run(Log.of(history, "default")).extent.end
    middle = end // 2
    parts = [
        found_by(history, HEAPED, until=InLog(Start("offset", middle))),
        found_by(history, HEAPED, first=middle),
    ]
    whole = found_by(history, HEAPED)
    assert sum(part["plans"] for part in parts) in (whole["plans"], whole["plans"] - 1), "one may lie across"
    assert whole["tasks"]["elsewhere"] > 5
    kept = Snapshots(tmp_path, 50)
    assert found_by(history, HEAPED, snapshots=kept) == whole
    assert list(tmp_path.rglob("*.snapshot"))
    assert found_by(history, HEAPED, first=middle, snapshots=kept) == parts[1]


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="wrong_zoo"):
        found_by(Archive.open(LIFE), {"planning": {"objective": {"wrong_zoo": 1}}})
