"""JSON Schemas (2020-12) of everything that stands on a topic.

What is read is generated from the models themselves. What is written is described here, type by type, and the
tests hold the two together. Schemas cannot say all: sizes in bytes, nesting, duplicate keys and integers
beyond 2^53 are refused too; ``docs/spec/wire.md`` has every rule.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from models.events import event_schema
from models.fields import wire_schema
from models.fleet_records import fleet_record_schema
from models.outputs import DirectiveType, ResultType
from models.policy import policy_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Seconds = Annotated[float, Field(ge=0, description="Epoch seconds or seconds, with milliseconds.")]


class EventPosition(TypedDict):
    """A record of ``coordinator.events``."""

    partition: int
    offset: int


class CauseValue(TypedDict):
    """The record that caused an output: its offset in the fleet log, and the events behind it."""

    offset: int
    events: list[EventPosition]


class SealValue(TypedDict):
    """The state when it was sealed: all records of the fleet log below ``offset`` folded, and their digest."""

    offset: int
    digest: str


class ProvenanceValue(TypedDict):
    """Out of what an output was made, beside its cause."""

    fold: Annotated[int, Field(description="Version of the fold.")]
    planner: Annotated[str | None, Field(description="Who made the fleet's last plan: name/version.")]
    policy: Annotated[str, Field(description="Digest of the policy in force.")]
    state: SealValue | None


class CoalitionValue(TypedDict):
    id: str
    members: list[str]
    role: str | None


class DirectiveValue(TypedDict):
    """What an agent is told; key of the record: the agent's id."""

    directive_id: Annotated[str, Field(description="Deduplicates: delivery is at least once.")]
    type: DirectiveType
    agent_id: str
    fleet: str
    task_id: NotRequired[str]
    epoch: NotRequired[Annotated[int, Field(description="Fences: refuse a lower one for the same task.")]]
    attempt: NotRequired[int]
    plan_id: NotRequired[str]
    issued_at: Seconds
    ack_by: Seconds
    ack_timeout: Annotated[Seconds, Field(description="Count it from receipt, by your own clock.")]
    expires_at: NotRequired[Annotated[Seconds, Field(description="Ignore the directive if past on receipt.")]]
    run_timeout: NotRequired[Annotated[Seconds, Field(description="Count it from receipt, then fail.")]]
    payload: Any
    coalition: NotRequired[CoalitionValue]
    cause: CauseValue
    provenance: ProvenanceValue


class ResultValue(TypedDict):
    """How a task ended; key of the record: the task's id."""

    type: ResultType
    task_id: str
    fleet: str
    time: Seconds
    reason: str | None
    result: Any
    attempt: int
    epoch: int
    agent_id: str | None
    cause: CauseValue
    provenance: ProvenanceValue


class WindowSpan(TypedDict):
    start: Seconds
    end: Seconds


class ReportValue(TypedDict):
    """How a fleet did in one window; key of the record: the fleet."""

    type: Literal["performance_report"]
    fleet: str
    window: WindowSpan
    time: Seconds
    agents: dict[str, int]
    slots: dict[str, int]
    queue: dict[str, int]
    balance: dict[str, float]
    plans: dict[str, float]
    period: dict[str, float]
    metrics: dict[str, dict[str, float]]
    late: int
    cause: CauseValue


class AlertValue(TypedDict):
    """Something a person should know; key of the record: the fleet. Other fields depend on the type."""

    type: str
    fleet: str
    subject: str
    reason: str
    time: Seconds
    cause: CauseValue


def schemas() -> dict[str, dict[str, object]]:
    """Every schema by the name of what it describes."""
    read = {
        "event": event_schema(),
        "fleet-record": fleet_record_schema(),
        "policy": policy_schema(),
    }
    written = {
        "directive": wire_schema(TypeAdapter(DirectiveValue)),
        "result": wire_schema(TypeAdapter(ResultValue)),
        "report": wire_schema(TypeAdapter(ReportValue)),
        "alert": wire_schema(TypeAdapter(AlertValue)),
    }
    return {name: {"$schema": DIALECT, **schema} for name, schema in {**read, **written}.items()}
