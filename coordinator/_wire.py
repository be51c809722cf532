"""Bytes on the wire to and from plain values: events out, directives and results in.

What comes in is read leniently: unknown fields and types are ignored, as the contract asks, and a record that
makes no sense is skipped, never raised. What goes out is checked against the contract's limits first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from coordinator import _limits
from coordinator.directive import Coalition, Directive
from coordinator.errors import InvalidValue
from coordinator.task import TaskResult, TaskState

EVENTS = "events"
DIRECTIVES = "directives"
RESULTS = "results"
ALERTS = "alerts"

Place: TypeAlias = tuple[int, int]
"""Partition and offset of an event."""

_RESULT_STATES: dict[str, TaskState] = {
    "task_completed": "completed",
    "task_failed": "failed",
    "task_cancelled": "cancelled",
    "task_refused": "refused",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that the coordinator did not take, and what that means for the task in it, if it submits one."""

    place: Place
    result: TaskResult


def encode_event(type_: str, **fields: object) -> bytes:
    """An event's JSON; fields that are ``None`` are left out, so that the defaults of the contract apply.

    Raises:
        InvalidValue: if it is beyond the limits of size or depth.
    """
    event = {"type": type_, **{name: value for name, value in fields.items() if value is not None}}
    _limits.check_json(event, type_, _limits.MAX_DEPTH)
    raw = orjson.dumps(event)
    if len(raw) > _limits.MAX_VALUE_BYTES:
        raise InvalidValue(
            type_, "…", f"{len(raw)} bytes as JSON; at most {_limits.MAX_VALUE_BYTES} are allowed"
        )
    return raw


def decode_directive(raw: bytes | None) -> Directive | None:
    """The directive in ``raw``, or ``None`` if it holds none that this version understands."""
    value = _object(raw)
    if value is None:
        return None
    directive_id, kind, agent_id = value.get("directive_id"), value.get("type"), value.get("agent_id")
    if not (isinstance(directive_id, str) and isinstance(kind, str) and isinstance(agent_id, str)):
        return None
    run_timeout, expires_at = _number(value.get("run_timeout")), _number(value.get("expires_at"))
    ack_timeout = _number(value.get("ack_timeout"))
    return Directive(
        directive_id=directive_id,
        type=kind,
        agent_id=agent_id,
        fleet=_text(value.get("fleet")) or "default",
        task_id=_text(value.get("task_id")),
        epoch=_integer(value.get("epoch")) or 0,
        attempt=_integer(value.get("attempt")) or 1,
        plan_id=_text(value.get("plan_id")),
        issued_at=_number(value.get("issued_at")) or 0.0,
        ack_by=_number(value.get("ack_by")),
        ack_timeout=10.0 if ack_timeout is None else ack_timeout,
        expires_at=expires_at,
        run_timeout=run_timeout,
        payload=value.get("payload"),
        coalition=_coalition(value.get("coalition")),
        cause=_mapping(value.get("cause")),
        provenance=_mapping(value.get("provenance")),
    )


def decode_result(raw: bytes | None) -> TaskResult | None:
    """The result in ``raw``, or ``None`` if it holds none that this version understands."""
    value = _object(raw)
    if value is None:
        return None
    state = _RESULT_STATES.get(_text(value.get("type")) or "")
    task_id = value.get("task_id")
    if state is None or not isinstance(task_id, str):
        return None
    return TaskResult(
        task_id=task_id,
        state=state,
        fleet=_text(value.get("fleet")) or "default",
        result=value.get("result"),
        reason=_text(value.get("reason")),
        attempt=_integer(value.get("attempt")),
        epoch=_integer(value.get("epoch")),
        agent_id=_text(value.get("agent_id")),
        time=_number(value.get("time")),
        cause=_mapping(value.get("cause")),
        provenance=_mapping(value.get("provenance")),
    )


def decode_rejection(raw: bytes | None) -> Rejection | None:
    """The rejection of an event in the alert ``raw``, or ``None`` if it is about something else."""
    value = _object(raw)
    if value is None or value.get("type") != "rejected":
        return None
    subject, cause = value.get("subject"), value.get("cause")
    events = cause.get("events") if isinstance(cause, dict) else None
    if (
        not isinstance(cause, dict)
        or not isinstance(subject, str)
        or not isinstance(events, list)
        or not events
    ):
        return None
    event = events[0] if isinstance(events[0], dict) else {}
    partition, offset = _integer(event.get("partition")), _integer(event.get("offset"))
    if partition is None or offset is None:
        return None
    result = TaskResult(
        task_id=subject,
        state="refused",
        fleet=_text(value.get("fleet")) or "default",
        reason=_text(value.get("reason")),
        time=_number(value.get("time")),
        cause=cause,
    )
    return Rejection((partition, offset), result)


def _object(raw: bytes | None) -> Mapping[str, object] | None:
    if raw is None:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _coalition(value: object) -> Coalition | None:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return None
    members = value.get("members")
    names = (member for member in members if isinstance(member, str)) if isinstance(members, list) else ()
    return Coalition(id=value["id"], members=tuple(names), role=_text(value.get("role")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if type(value) is int and abs(value) <= _limits.MAX_INTEGER else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
