"""What the coordinator says: directives, results, reports and alerts, down to the byte.

Every id and time derives from the record that caused the output, so that replaying the log gives the same
bytes, headers included. Times are integer milliseconds inside and seconds on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, TypeAlias

from models.codec import encode
from models.fields import seconds
from models.fold import Output

DirectiveType: TypeAlias = Literal[
    "assign_task", "withdraw_task", "join_coalition", "leave_coalition", "drain", "resume", "throttle"
]
ResultType: TypeAlias = Literal["task_completed", "task_failed", "task_cancelled", "task_refused"]


@dataclass(frozen=True, slots=True)
class Cause:
    """The record that caused an output, and the events behind it."""

    offset: int
    """Offset in the fleet log, or in ``topic`` where that is given."""
    events: tuple[tuple[int, int], ...] = ()
    """``(partition, offset)`` in ``coordinator.events``."""

    def on_wire(self) -> dict[str, object]:
        return {
            "offset": self.offset,
            "events": [{"partition": partition, "offset": offset} for partition, offset in self.events],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalition:
    id: str
    members: tuple[str, ...]
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """What one agent is told. Delivered at least once; ``directive_id`` deduplicates, ``epoch`` fences."""

    directive_id: str
    type: DirectiveType
    agent_id: str
    fleet: str
    task_id: str | None = None
    epoch: int | None = None
    attempt: int | None = None
    plan_id: str | None = None
    issued_at: int
    ack_by: int
    ack_timeout: int
    expires_at: int | None = None
    run_timeout: int | None = None
    payload: object = None
    coalition: Coalition | None = None
    cause: Cause
    provenance: Mapping[str, object]
    """Out of what it was made, beside its cause, as it stands on the wire."""

    def output(self) -> Output:
        value: dict[str, object] = {
            "directive_id": self.directive_id,
            "type": self.type,
            "agent_id": self.agent_id,
            "fleet": self.fleet,
        }
        if self.task_id is not None:
            value |= {"task_id": self.task_id, "epoch": self.epoch, "attempt": self.attempt}
        if self.plan_id is not None:
            value["plan_id"] = self.plan_id
        value |= {
            "issued_at": seconds(self.issued_at),
            "ack_by": seconds(self.ack_by),
            "ack_timeout": seconds(self.ack_timeout),
        }
        if self.expires_at is not None:
            value["expires_at"] = seconds(self.expires_at)
        if self.run_timeout is not None:
            value["run_timeout"] = seconds(self.run_timeout)
        value["payload"] = self.payload
        if self.coalition is not None:
            value["coalition"] = {
                "id": self.coalition.id,
                "members": list(self.coalition.members),
                "role": self.coalition.role,
            }
        value["cause"] = self.cause.on_wire()
        value["provenance"] = self.provenance
        trace = self.task_id or self.directive_id
        return Output(
            "directives",
            self.agent_id.encode(),
            encode(value),
            cloud_event(self.type, self.directive_id, self.fleet, self.agent_id, self.issued_at, trace),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a task ended; exactly one content for each task."""

    type: ResultType
    task_id: str
    fleet: str
    time: int
    reason: str | None = None
    result: object = None
    attempt: int
    epoch: int
    agent_id: str | None = None
    cause: Cause
    provenance: Mapping[str, object]

    def output(self) -> Output:
        value = {
            "type": self.type,
            "task_id": self.task_id,
            "fleet": self.fleet,
            "time": seconds(self.time),
            "reason": self.reason,
            "result": self.result,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "agent_id": self.agent_id,
            "cause": self.cause.on_wire(),
            "provenance": self.provenance,
        }
        identity = f"{self.fleet}.{self.task_id}"
        return Output(
            "results",
            self.task_id.encode(),
            encode(value),
            cloud_event(self.type, identity, self.fleet, self.task_id, self.time, self.task_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something a person should know: what, about whom, why, since when."""

    type: str
    fleet: str
    subject: str
    reason: str
    time: int
    cause: Cause
    details: dict[str, object] = field(default_factory=dict)

    def output(self, identity: str) -> Output:
        """As a record; ``identity`` derives from the causing record, such as ``<fleet>.<offset>.<index>``."""
        value = {
            "type": self.type,
            "fleet": self.fleet,
            "subject": self.subject,
            "reason": self.reason,
            "time": seconds(self.time),
            **self.details,
            "cause": self.cause.on_wire(),
        }
        return Output(
            "alerts",
            self.fleet.encode(),
            encode(value),
            cloud_event(self.type, identity, self.fleet, self.subject, self.time, identity),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a fleet did in one event-time window ``[start, end)`` and since the report before."""

    fleet: str
    start: int
    end: int
    time: int
    agents: dict[str, int]
    """``registered``, ``available`` and each reason why others are not, and ``reporting`` in the window."""
    slots: dict[str, int]
    """``total`` of registered agents, ``usable`` of those that get new work, and ``held`` by live directives."""
    queue: dict[str, int]
    """``pending`` tasks, and what they wait for."""
    balance: dict[str, float]
    """How evenly the work is spread: see ``models.fleet.reports``."""
    plans: dict[str, float]
    """What plans cost since the last report, and at the least would have: see ``models.fleet.reports``."""
    period: dict[str, float]
    """What got done since the last report: counts, ``throughput`` per second, waits in seconds."""
    metrics: dict[str, dict[str, float]]
    """Per metric, over the agents that reported it."""
    late: int
    """Records too late for their window."""
    cause: Cause

    def output(self) -> Output:
        value = {
            "type": "performance_report",
            "fleet": self.fleet,
            "window": {"start": seconds(self.start), "end": seconds(self.end)},
            "time": seconds(self.time),
            "agents": self.agents,
            "slots": self.slots,
            "queue": self.queue,
            "balance": self.balance,
            "plans": self.plans,
            "period": self.period,
            "metrics": self.metrics,
            "late": self.late,
            "cause": self.cause.on_wire(),
        }
        identity = f"{self.fleet}.{self.cause.offset}.window-{self.start}-{self.end}"
        return Output(
            "reports",
            self.fleet.encode(),
            encode(value),
            cloud_event("performance_report", identity, self.fleet, self.fleet, self.time, identity),
        )


def cloud_event(
    kind: str, identity: str, fleet: str, subject: str, time: int, trace: str
) -> tuple[tuple[str, bytes], ...]:
    """CloudEvents 1.0 headers (Kafka binding, binary mode) and a W3C ``traceparent``, all derived.

    Outputs about one ``trace`` (a task, say) share a trace id, so that they join into one story.
    """
    digest = sha256(f"{fleet}/{trace}".encode()).hexdigest()
    span = sha256(f"{fleet}/{identity}".encode()).hexdigest()
    moment = datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", f"/coordinator/{fleet}".encode()),
        ("ce_id", identity.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", f"{moment}.{time % 1000:03d}Z".encode()),
        ("content-type", b"application/json"),
        ("traceparent", f"00-{digest[:32]}-{span[:16]}-01".encode()),
    )
