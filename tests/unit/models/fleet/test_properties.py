"""What must hold for every log, whatever stands in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import FleetFold
from models.fleet.coalitions import members_of
from models.fleet.explain import explain, explain_coalition
from models.fleet.feasibility import Reason, feasibility
from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fold import LogRecord
from tests.unit.models.fleet.log import restored_from, rows_of
from tests.unit.models.fleet.strategies import EVENTS_PARTITIONS, logs

few = settings(max_examples=40, deadline=None)


def new_fold() -> FleetFold:
    return FleetFold(0, EVENTS_PARTITIONS)


@few
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.binary(max_size=64)),
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.one_of(st.none(), st.binary(max_size=8)),
        ),
        max_size=8,
    )
)
def test_no_bytes_whatever_raise_and_all_are_kept(raws: list[tuple[bytes | None, int, bytes | None]]) -> None:
    fold = new_fold()
    for offset, (value, timestamp, key) in enumerate(raws):
        outputs = fold.fold([LogRecord(offset, timestamp, key, value, (("h", None),))])
        letters = [output for output in outputs if output.topic == "dead-letters"]
        assert [(letter.key, letter.value, letter.headers[0]) for letter in letters] == [
            (key, value, ("h", None))
        ]
        fold.validate()


@few
@given(logs(), st.randoms(use_true_random=False))
def test_invariants_hold_in_any_order_of_valid_records(log: list[LogRecord], random: object) -> None:
    random.shuffle(log)  # type: ignore[attr-defined]
    fold = new_fold()
    for offset, record in enumerate(log):
        fold.fold([LogRecord(offset, record.timestamp, record.key, record.value)])
        fold.validate()


@few
@given(logs())
def test_every_explanation_counts_every_registered_agent_as_the_feasibility_function_does(
    log: list[LogRecord],
) -> None:
    fold = new_fold()
    for record in log:
        fold.fold([record])
        for key, task in fold.state.tables.tasks.rows.items():
            explanation: Any = explain(fold, *key.split("/"))
            agents = [a for a in fold.state.fleets[task.fleet].agents.values() if a.registered]
            reasons = {agent.id: feasibility(task, agent, fold.state.clock.log_time) for agent in agents}
            assert explanation["counts"] == Counter(reasons.values())
            assert explanation["agents"] == len(agents)
            nearest = explanation["nearest"]
            assert not agents or reasons[nearest["agent_id"]] == nearest["reason"]
            if task.coalition_id is not None:
                _check_coalition(fold, task, agents, reasons)


def _check_coalition(fold: FleetFold, task: TaskRow, agents: list[Agent], reasons: dict[str, Reason]) -> None:
    """Members are told apart, and whoever is of no use for what is missing."""
    row = fold.state.tables.coalitions.rows[task.coalition_id or ""]
    members = {member.agent_id for member in row.members}
    assert task.team is not None
    missing = task.team.missing(members_of(row))
    explanation: Any = explain_coalition(fold, task.fleet, task.coalition_id or "")
    assert explanation["counts"] == Counter(
        "member"
        if agent.id in members
        else reasons[agent.id]
        if missing is None or missing.admits(agent.shape.capabilities)
        else "capability"
        for agent in agents
    )


@few
@given(logs(), st.integers(0, 60))
def test_a_fold_restored_from_its_rows_goes_on_byte_for_byte(log: list[LogRecord], cut: int) -> None:
    whole, first = new_fold(), new_fold()
    expected = whole.fold(log)
    outputs = first.fold(log[:cut])
    second = restored_from(rows_of(first), EVENTS_PARTITIONS)
    second.validate()
    outputs += second.fold(log[cut:])
    second.validate()
    assert outputs == expected
    assert rows_of(second) == rows_of(whole)


@few
@given(logs())
def test_batches_do_not_matter(log: list[LogRecord]) -> None:
    whole, single = new_fold(), new_fold()
    assert whole.fold(log) == [output for record in log for output in single.fold([record])]
    assert rows_of(whole) == rows_of(single)


@few
@given(logs())
def test_only_changed_rows_are_dirty_and_all_changed_rows_are(log: list[LogRecord]) -> None:
    fold = new_fold()
    before = rows_of(fold)
    for record in log:
        for table in fold.tables.values():
            table.dirty.clear()
        fold.fold([record])
        after = rows_of(fold)
        for name, table in fold.tables.items():
            changed = {
                key
                for key in before[name].keys() | after[name].keys()
                if before[name].get(key) != after[name].get(key)
            }
            assert changed <= table.dirty.keys(), f"{name} changed without a mark"
        before = after


@few
@given(logs(), st.data())
def test_repeats_of_source_positions_change_nothing(log: list[LogRecord], data: st.DataObject) -> None:
    once, repeated = new_fold(), new_fold()
    expected = once.fold(log)
    outputs = []
    sent: list[LogRecord] = []
    for record in log:
        outputs += repeated.fold([record])
        if b'"plan_proposed"' not in (record.value or b""):
            sent.append(record)
        if sent and data.draw(st.booleans()):
            again = data.draw(st.sampled_from(sent))
            outputs += repeated.fold([LogRecord(record.offset + 1, record.timestamp, again.key, again.value)])
    assert outputs == expected
    ours, theirs = rows_of(once), rows_of(repeated)
    assert {**ours, "clock": None} == {**theirs, "clock": None}


@few
@given(logs())
def test_no_directive_id_and_no_result_is_ever_said_twice(log: list[LogRecord]) -> None:
    outputs = new_fold().fold(log)
    directives = [orjson.loads(o.value or b"")["directive_id"] for o in outputs if o.topic == "directives"]
    assert len(directives) == len(set(directives))
    results = [o.key for o in outputs if o.topic == "results" and b'"fleet":"default"' in (o.value or b"")]
    assert len(results) == len(set(results)), "ids are remembered for longer than these logs last"


def test_the_random_logs_above_reach_deep_states() -> None:
    reached: set[str] = set()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(logs())
    def collect(log: list[LogRecord]) -> None:
        fold = new_fold()
        fold.fold(log)
        reached.update(fold.state.clock.operations, fold.state.clock.rejections, fold.state.clock.refusals)

    collect()
    assert reached >= {
        "assign_task",
        "withdraw_task",
        "drain",
        "resume",
        "task_failed",
        "task_cancelled",
        "no_eligible_agent",
        "performance_report",
        "not_pending",
        "stale_epoch",
        "capability",
        "policy_accepted",
        "task_completed",
        "join_coalition",
        "leave_coalition",
        "breaker_opened",
        "task_poisoned",
        "drain_overdue",
    }
