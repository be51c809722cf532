"""Accounting, repeats, damaged records, restore."""

from __future__ import annotations

import pytest

from models.fleet import views
from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    return FleetLog(events_partitions=2)


def test_a_repeated_source_position_changes_nothing(log: FleetLog) -> None:
    log.task(source=(0, 5, 1))
    assert not log.fact("task_cancelled", task_id="t1", source=(0, 5, 1))
    assert not log.fact("task_cancelled", task_id="t1", source=(0, 4, 7))
    assert log.task_row().state == "pending"
    assert log.outcomes == {"applied": 1, "duplicate": 2}


def test_positions_rise_by_index_within_an_offset(log: FleetLog) -> None:
    log.task("t1", source=(0, 5, 0))
    log.task("t2", source=(0, 5, 1))
    assert log.outcomes == {"applied": 2}


def test_positions_of_different_partitions_do_not_meet(log: FleetLog) -> None:
    log.task("t1", source=(0, 5, 0))
    log.task("t2", source=(1, 2, 0))
    assert log.outcomes == {"applied": 2}


def test_a_repeated_liveness_record_changes_nothing(log: FleetLog) -> None:
    log.agent(source=(0, 1, 0))
    lost = {"type": "agent_lost", "fleet": "default", "agent_id": "a1"}
    lost["source"] = {"partition": 0, "offset": 2, "index": 0}  # type: ignore[assignment]
    assert log.append(lost).alerts("agent_lost")
    log.fact("status_update", agent_id="a1", status="active", source=(0, 3, 0))
    assert not log.append(lost)
    assert log.agent_row().liveness == "alive"


def test_every_outcome_is_counted_and_they_sum_to_what_was_read(log: FleetLog) -> None:
    log.agent()
    log.tick()
    log.append(b"{")
    log.fact("task_cancelled", task_id="t9")
    log.task()
    log.task()
    assert log.outcomes == {"applied": 2, "duplicate": 1, "rejected": 1, "dead_lettered": 1, "tick": 2}
    assert views.accounting(log.fold)["records"] == 7


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\xff", b"bytes"),
        (None, b"bytes"),
        (b"[]", b"schema"),
        (b'{"type":"no_such_thing"}', b"schema"),
        (b'{"type":"task_submitted"}', b"schema"),
        (b'{"type":"clock_ticked","partition":2,"through":1}', b"schema"),
    ],
)
def test_a_damaged_record_is_kept_as_it_came_and_told_of(
    log: FleetLog, value: bytes | None, code: bytes
) -> None:
    said = log.append(value, key=b"\x00")
    letter = said.outputs[0]
    assert (letter.topic, letter.key, letter.value) == ("dead-letters", b"\x00", value)
    headers = dict(letter.headers)
    assert headers["coord-origin"] == b"coordinator.fleet/0/0"
    assert (headers["coord-error"] or b"").startswith(code + b":")
    assert said.alerts("dead_letter")
    assert log.outcomes == {"dead_lettered": 1}


def test_an_event_that_is_no_valid_event_is_damage_too(log: FleetLog) -> None:
    log.fact("task_submitted", task_id="t1", priority=10)
    assert log.outcomes == {"dead_lettered": 1}
    assert not log.fold.state.tables.tasks.rows


@pytest.mark.parametrize(
    "event",
    [
        {"type": "clock_ticked"},
        {"type": "policy_accepted", "policy": {}, "version": 1},
        {"type": "agent_deregistered", "agent_id": "a1"},
    ],
)
def test_an_event_of_another_type_than_its_record_says_is_damage(
    log: FleetLog, event: dict[str, object]
) -> None:
    log.agent()
    source = {"partition": 0, "offset": 99, "index": 0}
    log.append({"type": "task_submitted", "source": source, "through": log.now / 1000, "event": event})
    assert log.outcomes == {"applied": 1, "dead_lettered": 1}
    assert log.agent_row().liveness == "alive"


def test_fields_that_nobody_knows_are_ignored(log: FleetLog) -> None:
    log.task(colour="red")
    assert not log.task(colour="blue")
    assert log.outcomes == {"applied": 1, "duplicate": 1}


def test_a_restored_fold_knows_what_the_old_one_knew(log: FleetLog) -> None:
    directive = log.running()
    log.task("t2")
    log.fact("agent_drained", agent_id="a1")
    log.tick()
    again = restored_from(rows_of(log.fold), 2)
    again.validate()
    assert views.summary(again, "default") == views.summary(log.fold, "default")
    assert list(views.directives(again, "default")) == list(views.directives(log.fold, "default"))
    log.fold = again
    assert log.answer(directive, "completed").results()
    assert log.explain("t2")["reason"] == "unavailable"


def test_views_show_agents_tasks_and_directives_as_they_are(log: FleetLog) -> None:
    log.answer(log.running(), "completed")
    log.task("t2")
    log.place()
    assert [agent["agent_id"] for agent in views.agents(log.fold, "default")] == ["a1"]
    assert [(t["task_id"], t["state"]) for t in views.tasks(log.fold, "default")] == [
        ("t2", "assigned"),
        ("t1", "completed"),
    ]
    assert [t["task_id"] for t in views.tasks(log.fold, "default", state="completed")] == ["t1"]
    assert [d["task_id"] for d in views.directives(log.fold, "default")] == ["t2"]
    summary = views.summary(log.fold, "default")
    assert summary["slots"] == {"total": 1, "held": 1}
    assert summary["tasks"] == {
        "pending": 0,
        "assigned": 1,
        "running": 0,
        "impossible": 0,
        "submitted": 2,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }


def test_views_of_a_fleet_that_nobody_used_are_empty(log: FleetLog) -> None:
    assert list(views.agents(log.fold, "none")) == []
    assert views.agent(log.fold, "none", "a1") is None
    assert views.summary(log.fold, "none")["fleet"] == "none"
