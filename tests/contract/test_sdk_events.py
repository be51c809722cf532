"""The SDK and the coordinator are written apart; here what one says is read by the other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as clients_murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import InvalidValue, Role, Spread, Task
from coordinator._wire import decode_directive, decode_rejection, decode_result, encode_event
from models import codec
from models.events import SpreadRequest, TaskSubmitted, decode_event, subject_of
from models.outputs import Alert, Cause, Coalition, Directive, Result
from models.partition import murmur2

PROVENANCE: dict[str, object] = {
    "fold": 1,
    "planner": "water-fill/1",
    "policy": "4bcd8c50a91b4da5",
    "state": {"offset": 5, "digest": "0" * 32},
}
COMMON: dict[str, Any] = {"agent_id": "a1", "fleet": "blue", "incarnation": 3_600_000_000, "seq": 7}


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        (
            "agent_registered",
            {
                "capabilities": ["sum"],
                "slots": 2,
                "resources": {"memory": 4},
                "zone": "z1",
                "labels": {"tier": "gold"},
                "version": "1.0",
                "heartbeat_interval": 0.5,
                "only": {"capabilities": ["sum"], "tenants": ["acme"]},
            },
        ),
        ("agent_deregistered", {"reason": "stopped"}),
        ("status_update", {"status": "draining", "current_load": 0.5, "capabilities": ["sum"], "slots": 3}),
        ("metric_report", {"metrics": {"latency": 0.25}}),
        ("resource_report", {"resources": {"memory": {"capacity": 4, "used": 1}}}),
        ("directive_response", {"directive_id": "blue.7.0", "epoch": 3, "outcome": "accepted"}),
        ("directive_response", {"directive_id": "blue.7.0", "outcome": "progress", "progress": 0.5}),
        ("directive_response", {"directive_id": "blue.7.0", "outcome": "completed", "result": {"n": [1]}}),
        ("directive_response", {"directive_id": "blue.7.0", "outcome": "failed", "reason": "run_timeout"}),
    ],
)
def test_every_event_of_an_agent_is_understood(type_: str, fields: dict[str, Any]) -> None:
    event = decode_event(encode_event(type_, **COMMON, **fields))
    assert (event.type, subject_of(event)) == (type_, "a1")
    assert (event.incarnation, event.seq, event.fleet) == (3_600_000_000, 7, "blue")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("type_", "fields", "subject"),
    [
        ("task_cancelled", {"task_id": "t1", "reason": "enough"}, "t1"),
        ("agent_drained", {"agent_id": "a1", "deadline": 2_000_000_000.5}, "a1"),
        ("agent_cordoned", {"agent_id": "a1"}, "a1"),
        ("agent_uncordoned", {"agent_id": "a1"}, "a1"),
        ("policy_changed", {"policy": {}, "version": 2}, "blue"),
    ],
)
def test_every_event_of_clients_and_operators_is_understood(
    type_: str, fields: dict[str, Any], subject: str
) -> None:
    assert subject_of(decode_event(encode_event(type_, fleet="blue", **fields))) == subject


def test_a_task_with_nothing_but_defaults_is_the_contracts_default_task() -> None:
    task = Task(task_id="t1")
    assert decode_event(encode_event("task_submitted", **task.fields())) == TaskSubmitted(task_id="t1")


def test_a_full_task_arrives_as_it_was_meant() -> None:
    task = Task(
        task_id="t1",
        payload={"n": 1},
        capabilities=["sum"],
        resources={"memory": 2},
        labels={"tier": "gold"},
        slots=2,
        size=3.5,
        priority=9,
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
        prefer_zone="z1",
        prefer_labels={"os": "linux"},
        max_attempts=1,
        ack_timeout=5,
        run_timeout=60,
        tenant="acme",
        roles=[Role(role="lead", capabilities=["plan"], count=2)],
    )
    event = decode_event(encode_event("task_submitted", **task.fields()))
    assert isinstance(event, TaskSubmitted)
    assert (event.requires.capabilities, event.requires.resources) == (["sum"], {"memory": 2})
    assert (event.requires.labels, event.prefer.zone, event.prefer.labels) == (
        {"tier": "gold"},
        "z1",
        {"os": "linux"},
    )
    assert (event.slots, event.size, event.priority, event.max_attempts) == (2, 3.5, 9, 1)
    assert (event.deadline, event.ack_timeout, event.run_timeout) == (1_893_456_000_000, 5_000, 60_000)
    assert event.coalition is not None
    assert event.coalition.roles is not None
    assert (event.coalition.roles[0].role, event.coalition.roles[0].count) == ("lead", 2)
    assert (event.tenant, event.payload) == ("acme", {"n": 1})


@pytest.mark.parametrize("by", ["agent", "zone", "labels.rack"])
@pytest.mark.parametrize("most", [None, 1])
def test_what_a_task_is_spread_by_arrives(by: str, most: int | None) -> None:
    task = Task(task_id="t1", spread=Spread(group="g", by=by, most=most))
    event = decode_event(encode_event("task_submitted", **task.fields()))
    assert isinstance(event, TaskSubmitted)
    assert event.spread == SpreadRequest(group="g", by=by, most=most)


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "task_id": st.text(max_size=4) | st.just("x" * 129),
            "capabilities": st.lists(st.text(max_size=3), max_size=2),
            "resources": st.dictionaries(st.text(max_size=2), st.floats(), max_size=2),
            "labels": st.dictionaries(st.text(max_size=2), st.text(max_size=200), max_size=2),
            "slots": st.integers(-1, 200_000),
            "size": st.floats(),
            "priority": st.integers(-1, 11),
            "deadline": st.floats(),
            "max_attempts": st.integers(-1, 2_000),
            "ack_timeout": st.floats(0, 4_000),
            "run_timeout": st.floats(0, 3_000_000),
            "payload": st.recursive(
                st.none() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
            ),
        },
    )
)
def test_what_the_sdk_sends_the_coordinator_takes(fields: dict[str, Any]) -> None:
    try:
        raw = encode_event("task_submitted", **Task(**fields).fields())
    except InvalidValue:
        return
    assert isinstance(decode_event(raw), TaskSubmitted)


def test_a_directive_of_the_coordinator_is_read_to_the_last_field() -> None:
    sent = Directive(
        directive_id="blue.7.1",
        type="assign_task",
        agent_id="a1",
        fleet="blue",
        task_id="t1",
        epoch=3,
        attempt=2,
        plan_id="p1",
        issued_at=1_500,
        ack_by=11_500,
        ack_timeout=10_000,
        expires_at=61_500,
        run_timeout=60_000,
        payload={"n": 1},
        coalition=Coalition(id="c1", members=("a1", "a2"), role="lead"),
        cause=Cause(7, ((0, 5),)),
        provenance=PROVENANCE,
    ).output()
    read = decode_directive(sent.value)
    assert read is not None
    assert (sent.topic, sent.key) == ("directives", b"a1")
    assert (read.directive_id, read.type, read.agent_id, read.fleet) == (
        "blue.7.1",
        "assign_task",
        "a1",
        "blue",
    )
    assert (read.task_id, read.epoch, read.attempt, read.plan_id) == ("t1", 3, 2, "p1")
    assert (read.issued_at, read.ack_by, read.ack_timeout) == (1.5, 11.5, 10.0)
    assert (read.expires_at, read.run_timeout, read.payload) == (61.5, 60.0, {"n": 1})
    assert read.coalition is not None
    assert (read.coalition.id, read.coalition.members, read.coalition.role) == ("c1", ("a1", "a2"), "lead")
    assert read.cause == {"offset": 7, "events": [{"partition": 0, "offset": 5}]}
    assert read.provenance == PROVENANCE


@pytest.mark.parametrize(
    ("type_", "state"),
    [
        ("task_completed", "completed"),
        ("task_failed", "failed"),
        ("task_cancelled", "cancelled"),
        ("task_refused", "refused"),
    ],
)
def test_a_result_of_the_coordinator_is_read_to_the_last_field(type_: Any, state: str) -> None:
    sent = Result(
        type=type_,
        task_id="t1",
        fleet="blue",
        time=1_500,
        reason="why",
        result=[1],
        attempt=2,
        epoch=3,
        agent_id="a1",
        cause=Cause(7),
        provenance=PROVENANCE,
    ).output()
    read = decode_result(sent.value)
    assert read is not None
    assert (sent.topic, sent.key) == ("results", b"t1")
    assert (read.state, read.task_id, read.fleet, read.time) == (state, "t1", "blue", 1.5)
    assert (read.reason, read.result, read.attempt, read.epoch, read.agent_id) == ("why", [1], 2, 3, "a1")
    assert read.provenance == PROVENANCE


def test_limits_are_the_same_on_both_sides() -> None:
    from coordinator import _limits
    from models import fields

    assert (_limits.MAX_VALUE_BYTES, _limits.MAX_DEPTH) == (codec.MAX_VALUE_BYTES, codec.MAX_DEPTH)
    assert (_limits.MAX_INTEGER, _limits.MAX_PAYLOAD_BYTES) == (codec.MAX_INTEGER, fields.MAX_PAYLOAD_BYTES)


@given(st.binary(max_size=40))
def test_both_sides_put_a_key_into_the_same_partition(key: bytes) -> None:
    assert murmur2(key) == clients_murmur2(key)


def test_a_rejection_names_the_event_and_the_task_that_it_is_about() -> None:
    cause = Cause(offset=12, events=((3, 7),))
    alert = Alert(
        type="rejected", fleet="blue", subject="t1", reason="task_exists", time=1_500, cause=cause, details={}
    )
    rejection = decode_rejection(alert.output("blue.12.alert-0").value)
    assert rejection is not None
    assert rejection.place == (3, 7)
    result = rejection.result
    assert (result.task_id, result.fleet, result.state, result.reason, result.time) == (
        "t1",
        "blue",
        "refused",
        "task_exists",
        1.5,
    )


@pytest.mark.parametrize(
    "alert",
    [
        Alert(type="agent_lost", fleet="f", subject="t1", reason="r", time=0, cause=Cause(1, ((0, 0),))),
        Alert(type="rejected", fleet="f", subject="t1", reason="r", time=0, cause=Cause(1)),
    ],
)
def test_other_alerts_are_no_rejections_of_an_event(alert: Alert) -> None:
    assert decode_rejection(alert.output("f.1.alert-0").value) is None
