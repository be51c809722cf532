"""History lived again under another policy, and how near that is to what would really have come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bench.simulation.ours import Coordinator
from bench.simulation.world import Scenario, World
from models.fold import LogRecord
from streams.audit.archive import Archive
from streams.audit.history import History
from streams.audit.moments import NOW
from streams.audit.past import Log
from streams.audit.relive import relived
from tests.golden.corpus import logs
from tests.unit.models.fleet.log import FleetLog
from tests.unit.streams.audit.recorded import of_fleet_log

LIFE = next(path for path in logs() if path.name == "life")


class Recorder(Coordinator):
    """The coordinator of a simulation, which keeps its fleet log."""

    def __init__(self, policy: Mapping[str, object]) -> None:
        super().__init__(policy)
        self.log: list[LogRecord] = []

    def _record(self, topic: str, value: bytes) -> LogRecord:
        record = super()._record(topic, value)
        if topic == "fleet":
            self.log.append(record)
        return record


def simulated(scenario: Scenario, policy: Mapping[str, object]) -> History:
    recorder = Recorder(policy)
    World(scenario, recorder, seed=3).run()
    return of_fleet_log(recorder.log)


def lived(
    history: History, patch: Mapping[str, object] | None = None, fleet: str = "default", first: int = 0
) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        log = await Log.of(history, fleet)
        _, found = await relived(log, first, NOW, patch or {})
        return found.on_wire()

    return asyncio.run(run())


def alike(found: dict[str, Any], wanted: dict[str, Any], share: float) -> None:
    """That about as many tasks ended, after about as long, with about as many directives."""
    assert found["submitted"] == wanted["submitted"]
    for part, name in (("results", "task_completed"), ("directives", "assign_task"), ("turnaround", "mean")):
        assert found[part][name] == pytest.approx(wanted[part][name], rel=share), name


# -- whole fleets


def test_what_is_lived_again_under_the_same_policy_comes_out_as_it_did() -> None:
    found = lived(simulated(Scenario(agents=15, skills=3, slots=2, load=0.5, seconds=40, crashes=30), {}))
    assert found["recorded"]["submitted"] > 300
    alike(found["again"], found["recorded"], 0.05)
    assert found["other"] == found["again"], "a patch that says nothing changes nothing"


def test_another_policy_fares_about_as_it_really_would() -> None:
    """Some agents fail at everything at once, and so get ever more: unless their breakers open."""
    scenario = Scenario(agents=20, skills=1, slots=2, load=0.4, seconds=20, black_holes=0.15)
    without, breakers = (
        {"breaker": {"share": 0.0, "failures": 100}},
        {"breaker": {"share": 0.5, "failures": 2}},
    )
    found = lived(simulated(scenario, without), breakers)
    really = lived(simulated(scenario, breakers))["recorded"]
    alike(found["again"], found["recorded"], 0.1)
    alike(found["other"], really, 0.05)
    assert found["other"]["directives"]["assign_task"] < 0.7 * found["again"]["directives"]["assign_task"]


@pytest.mark.parametrize("fleet", ["default", "north"])
def test_lives_with_everything_in_them_can_be_lived_again(fleet: str) -> None:
    patch = {"planning": {"preemption": 2}, "rebalancing": {"moves": 5, "start": 0.05}}
    found = lived(Archive.open(LIFE), patch, fleet)
    assert found == lived(Archive.open(LIFE), patch, fleet), "and always to the same end"
    assert found["recorded"]["submitted"] == found["again"]["submitted"] == found["other"]["submitted"]
    assert set(found["again"]["directives"]) >= {"assign_task", "join_coalition", "withdraw_task"}
    assert found["again"]["results"]["task_completed"] > 40


# -- single tasks


def ended(log: FleetLog, took: int, outcome: str = "completed", **fields: object) -> dict[str, Any]:
    """The planner gives a task to somebody, who takes it 100 ms later and is at it for so long."""
    directive = log.place().directive
    log.now += 100
    log.answer(directive, "accepted")
    log.now += took
    log.answer(directive, outcome, **fields)
    return directive


def test_a_task_takes_as_long_as_it_took() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    ended(log, 2_000)
    log.wait(3_000)
    found = lived(of_fleet_log(log.log))
    assert found["recorded"]["turnaround"]["longest"] == 2.1
    assert found["again"]["turnaround"]["longest"] == 2.101, "it takes a millisecond to plan, at least"


def test_what_failed_fails_at_the_same_attempt_and_what_was_refused_is_refused_once() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    ended(log, 500, "failed", reason="no luck")
    log.wait(3_000)
    ended(log, 500)
    log.task("t2")
    log.answer(log.place().directive, "rejected", reason="busy")
    log.wait(40_000)
    ended(log, 500)
    log.wait(5_000)
    found = lived(of_fleet_log(log.log))
    assert found["again"]["directives"] == found["recorded"]["directives"] == {"assign_task": 4}
    assert found["again"]["results"] == {"task_completed": 2}
    assert found["again"]["waits"]["count"] == 2


def test_an_agent_that_was_silent_answers_when_it_is_heard_again() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    directive = log.place().directive
    log.answer(directive, "accepted", after=100)
    log.own("agent_suspected", agent_id="a1", silence=400, after=500)
    log.wait(5_000)
    log.fact("status_update", agent_id="a1", status="active")
    log.answer(directive, "completed")
    log.wait(3_000)
    found = lived(of_fleet_log(log.log))
    assert found["recorded"]["turnaround"]["longest"] == pytest.approx(5.6, abs=0.01)
    assert 5.6 <= found["again"]["turnaround"]["longest"] < 6.7


def test_what_agents_had_before_is_answered_as_it_was() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    directive = log.place().directive
    log.answer(directive, "accepted")
    first = len(log.log)
    log.task("t2")
    log.wait(2_000)
    log.answer(directive, "completed")
    ended(log, 700)
    log.wait(2_000)
    found = lived(of_fleet_log(log.log), first=first)
    for name in ("recorded", "again", "other"):
        assert found[name]["submitted"] == 1
        assert found[name]["results"] == {"task_completed": 2}
        assert found[name]["turnaround"]["longest"] == pytest.approx(2.8, abs=0.02)


def test_what_stands_in_the_log_twice_is_said_once() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    repeat = log.log[-1]
    ended(log, 500)
    log.append(repeat.value)
    log.wait(1_000)
    found = lived(of_fleet_log(log.log))
    assert found["again"]["submitted"] == 1
    assert found["again"]["results"] == {"task_completed": 1}


def test_coalitions_come_together_and_work() -> None:
    log = FleetLog()
    for name in ("a1", "a2"):
        log.agent(name)
    log.task("t1", coalition={"roles": [{"role": "pair", "count": 2}]})
    joins = log.place().directives("join_coalition")
    log.answer(joins[0], "accepted", after=100)
    parts = log.answer(joins[1], "accepted").directives("assign_task")
    for part in parts:
        log.answer(part, "accepted", after=100)
    for part in parts:
        log.answer(part, "completed", after=1_000)
    log.wait(2_000)
    found = lived(of_fleet_log(log.log))
    assert found["again"]["directives"] == {"assign_task": 2, "join_coalition": 2}
    assert found["again"]["results"] == {"task_completed": 1}
    assert found["again"]["turnaround"]["longest"] == pytest.approx(2.3, abs=0.3)


def test_nobody_may_be_at_a_task_for_longer_than_it_may_take() -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    ended(log, 5_000)
    log.wait(1_000)
    log.task("t2", run_timeout=2, max_attempts=1)
    ended(log, 2_000, "failed", reason="run_timeout")
    log.wait(1_000)
    found = lived(of_fleet_log(log.log))
    assert found["again"]["results"] == {"task_completed": 1, "task_failed": 1}


# -- policies


def test_what_the_other_policy_has_otherwise_holds_whatever_is_changed_meanwhile() -> None:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"planning": {"quotas": {"x": {"slots": 2}}}})
    log.agent("a1", slots=2)
    log.fact(
        "policy_changed",
        version=5,
        policy={"retry": {"base": 2}, "planning": {"quotas": {"x": {"slots": 9}}}},
    )
    log.fact("policy_changed", version=4, policy={"planning": {"quotas": None}})
    for number in range(2):
        log.task(f"t{number}", tenant="x")
    directives = log.place().directives()
    for directive in directives:
        log.answer(directive, "accepted")
    log.now += 1_000
    for directive in directives:
        log.answer(directive, "completed")
    log.wait(3_000)
    found = lived(of_fleet_log(log.log), {"planning": {"quotas": {"x": {"slots": 1}}}})
    assert found["again"]["waits"]["longest"] < 0.1
    assert found["other"]["waits"]["longest"] == pytest.approx(1, abs=0.1), "one after the other"
    assert found["other"]["results"] == {"task_completed": 2}


def test_load_that_was_of_recorded_tasks_is_not_taken_for_others() -> None:
    """An agent reported two of four slots taken: by its tasks, which the other policy does not let it have."""
    log = FleetLog()
    log.agent("a1", slots=4)
    for number in range(2):
        log.task(f"t{number}", tenant="x", size=60)
    for directive in log.place().directives():
        log.answer(directive, "accepted")
    size = 10_000
    log.now += size - log.now % size
    load = {"count": 10, "sum": 5.0, "mean": 0.5, "min": 0.5, "max": 0.5, "last": 0.5}
    for _ in range(4):
        start = log.now
        log.wait(size - 1)
        log.own(
            "window_closed",
            start=start / 1000,
            end=(start + size) / 1000,
            agents={"a1": {"current_load": load}},
        )
    for number in range(4):
        log.task(f"more{number}", size=60)
    assert len(log.place().directives()) == 2
    log.wait(2_000)
    found = lived(of_fleet_log(log.log), {"planning": {"quotas": {"x": {"slots": 0}}}})
    assert found["again"]["directives"] == {"assign_task": 4}
    assert found["other"]["directives"] == {"assign_task": 4}, "all slots are free"
    assert found["other"]["unassigned"] == 2, "those of the tenant"


def test_what_was_known_at_the_beginning_is_known_to_each_of_the_lives() -> None:
    """A task had ended, is submitted again while its id is remembered, and is forgotten later."""
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"task_memory": 5})
    log.agent("a1")
    log.task("t1")
    ended(log, 500)
    first = len(log.log)
    log.wait(1_000)
    log.task("t1")
    assert log.outcomes["duplicate"] == 1
    log.wait(10_000)
    found = lived(of_fleet_log(log.log), first=first)
    for life in found.values():
        assert (life["submitted"], life["directives"]) == (0, {})


@pytest.mark.parametrize(
    "value",
    [
        b"no JSON",
        b'{"type":"directive_response","source":{"partition":0,"offset":900,"index":0},"through":1,"event":5}',
        b'{"type":"task_submitted","event":[]}',
        b'{"type":"window_closed","fleet":"default","agents":[1],"start":0,"end":1}',
        b'{"type":"plan_proposed","fleet":"default","planner":7,"based_on":"x"}',
        b'{"type":"agent_suspected","fleet":"default","agent_id":"a1","silence":"long"}',
        None,
    ],
)
def test_what_is_no_valid_record_is_heeded_in_no_life(value: bytes | None) -> None:
    log = FleetLog()
    log.agent("a1")
    log.task("t1")
    log.append(value)
    ended(log, 500)
    log.append(value)
    log.wait(1_000)
    found = lived(of_fleet_log(log.log))
    assert found["recorded"]["results"] == found["again"]["results"] == {"task_completed": 1}
