"""The everyday form of ``make chaos``; and that its schedule is what it promises, and its checks can fail."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest

from streams.failpoints import FAILPOINTS
from streams.reader import Stored
from tests.chaos import checks
from tests.chaos.checks import Recorded
from tests.chaos.run import Chaos, report
from tests.chaos.schedule import Fault, schedule
from tests.crash.history import History
from tests.crash.load import Load

TOPICS = (
    *("events", "fleet", "directives", "results", "reports", "dead-letters"),
    *("p-agents-changelog", "p-fleet-changelog"),
)


@pytest.mark.timeout(240)
async def test_workers_killed_joined_and_sent_away_under_load_leave_no_trace(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1, 1 << 31)
    print(f"CHAOS_SEED={seed}")
    chance = random.Random(seed)
    step = chance.choice([fault for fault in schedule(seed, 210) if fault.kind == "failpoint"])
    faults = [
        Fault("kill", chance.uniform(0, 2), patient=False),
        Fault("kill", chance.uniform(0, 2)),
        step,
        Fault("workers", 0.5, count=3),
        Fault("kill", chance.uniform(0, 2), chance.random()),
        Fault("workers", 0.5, count=1),
    ]
    outcome = await Chaos(kafka, topic_prefix, tmp_path, seed, print).run(faults)
    assert outcome.clean, report(outcome)
    assert not outcome.unreached


def test_a_schedule_is_repeatable_and_has_every_failpoint_and_enough_random_kills() -> None:
    faults = schedule(7, 210)
    assert faults == schedule(7, 210)
    assert faults != schedule(8, 210)
    kinds = Counter(fault.kind for fault in faults)
    assert kinds["kill"] + kinds["failpoint"] == 210
    assert kinds["kill"] >= 50
    assert {fault.failpoint for fault in faults if fault.kind == "failpoint"} == set(FAILPOINTS)
    assert [fault.count for fault in faults if fault.kind == "workers"] == [3, 2, 1]


def test_the_checks_find_what_is_wrong() -> None:
    history = History("h:9092", "p.", "p")
    history.topics = {topic: [] for topic in TOPICS}
    load = Load("h:9092", "p.", agents=1, seed=1)
    run = Recorded(history, load, 0, {"events": 1, "fleet": 1}, {}, [])
    assert checks.lost(run) == checks.duplicate(run) == checks.unseen(run) == checks.skipped(run) == []
    load.executions["task-1", 0] = 2
    assert checks.lost(dataclasses.replace(run, submitted=1)) == ["1 tasks have no result"]
    assert checks.duplicate(run) == ["task-1 epoch 0: 2 times"]
    assert checks.unseen(dataclasses.replace(run, unread={("p.events", 0): 3})) == ["p.events/0: 3 records"]


def test_only_what_a_checkpoint_vouches_for_must_have_been_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History("h:9092", "p.", "p")
    history.topics = {topic: [] for topic in TOPICS}
    fact = (
        b'{"type":"%s","source":{"partition":0,"offset":%d,"index":0},"through":0,'
        b'"event":{"type":"%s","task_id":"t1"}}'
    )
    history.topics["fleet"] = [
        Stored("fleet", 0, at, 1_763_800_000_000, b"default", fact % (kind, at, kind), ())
        for at, kind in enumerate((b"task_submitted", b"task_cancelled"))
    ]
    (result,) = (
        output
        for output in history._fleet_fold(0, 1).fold(history.topics["fleet"])
        if output.topic == "results"
    )
    stored = Stored("results", 0, 0, 0, result.key, result.value, tuple(result.headers))

    def holds(position: int, results: list[Stored]) -> bool:
        monkeypatch.setattr(History, "_saved_position", lambda *_: position)
        history.topics["results"] = results
        try:
            history.assert_outputs_are_those_of_a_cold_fold(1, 1)
        except AssertionError:
            return False
        return True

    assert holds(2, [stored]), "all of it is there"
    assert holds(1, [stored]), "the checkpoint had not come so far yet"
    assert holds(1, []), "so it need not be there"
    assert not holds(2, [])
    assert not holds(0, [dataclasses.replace(stored, value=b"{}")])
    assert not holds(2, [stored, dataclasses.replace(stored, value=b"{}")])


def test_facts_that_are_missing_or_out_of_order_are_found() -> None:
    beat = b'{"type":"status_update","agent_id":"a1","status":"active"}'
    history = History("h:9092", "p.", "p")
    history.topics = {topic: [] for topic in TOPICS}
    history.topics["events"] = [Stored("events", 0, 0, 1_763_800_000_000, b"a1", beat, ())]
    run = Recorded(history, Load("h:9092", "p.", agents=1, seed=1), 0, {"events": 1, "fleet": 1}, {}, [])
    assert any("not in the fleet log" in found for found in checks.skipped(run))
    fact = b'{"type":"metric_report","source":{"partition":0,"offset":%d,"index":0}}'
    history.topics["fleet"] = [Stored("fleet", 0, at, 0, None, fact % (7 - at % 2), ()) for at in range(3)]
    assert len(checks.non_monotonic(run)) == 1, "7, 6, and 7 again, which is a repeat"
    assert any("in the fleet log alone" in found for found in checks.skipped(run))
