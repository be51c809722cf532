"""What agents, clients and operators may say: one class for each type of event on ``coordinator.events``.

A new type is one class here and one branch in a fold. Times and durations are integer milliseconds inside and
seconds on the wire. Fields that nobody knows are ignored here and kept in the original bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from models.codec import InvalidRecord, decode_object
from models.fields import (
    AckTimeout,
    Amount,
    Amounts,
    Capabilities,
    Counter,
    Fleet,
    Fraction,
    HeartbeatInterval,
    Id,
    Json,
    Labels,
    Metrics,
    Place,
    RunTimeout,
    Size,
    Slots,
    Text,
    Time,
    wire_schema,
)
from models.upcasting import Chains, upcast

Status = Literal["active", "idle", "busy", "draining", "offline", "error"]
ResponseOutcome = Literal["accepted", "rejected", "progress", "completed", "failed"]

DEFAULT_FLEET = "default"
DEFAULT_HEARTBEAT_INTERVAL = 1_000
DEFAULT_ACK_TIMEOUT = 10_000
DEFAULT_RUN_TIMEOUT = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    fleet: Fleet = DEFAULT_FLEET
    event_id: Id | None = None
    """Identifies the event; it does not deduplicate. Defaults to its origin ``topic/partition/offset``."""
    time: Time | None = None
    """When it happened, for windows only. Defaults to the log time."""
    incarnation: Counter | None = None
    """Rises with each start of the agent; a new one starts ``seq`` at 0."""
    seq: Counter | None = None
    """Rises with each event of an incarnation; deduplicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAboutAgent(_Event):
    """What an agent says, or an operator about it."""

    agent_id: Id

    @property
    def subject(self) -> str | None:
        return self.agent_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAboutTask(_Event):
    task_id: Id

    @property
    def subject(self) -> str | None:
        return self.task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """The kinds of tasks that an agent takes; it refuses all others. What is empty refuses none."""

    capabilities: Capabilities = field(default_factory=list)
    """Tasks that require at least one of these, by themselves or for their coalition."""
    tenants: Annotated[list[Id], Field(max_length=256)] = field(default_factory=list)
    """Tasks of these tenants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistered(EventAboutAgent):
    type: Literal["agent_registered"] = "agent_registered"
    capabilities: Capabilities = field(default_factory=list)
    slots: Slots = 1
    """How many tasks it works on at once; with 0 it is known but never given work."""
    resources: Amounts = field(default_factory=dict)
    zone: Id | None = None
    labels: Labels = field(default_factory=dict)
    version: Text | None = None
    heartbeat_interval: HeartbeatInterval = DEFAULT_HEARTBEAT_INTERVAL
    only: Only = field(default_factory=Only)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDeregistered(EventAboutAgent):
    type: Literal["agent_deregistered"] = "agent_deregistered"
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate(EventAboutAgent):
    type: Literal["status_update"] = "status_update"
    status: Status
    current_load: Amount | None = None
    """The agent's own view; 1.0 is full."""
    capabilities: Capabilities | None = None
    slots: Slots | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReport(EventAboutAgent):
    type: Literal["metric_report"] = "metric_report"
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceState:
    capacity: Amount
    used: Amount = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReport(EventAboutAgent):
    type: Literal["resource_report"] = "resource_report"
    resources: Annotated[dict[Id, ResourceState], Field(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectiveResponse(EventAboutAgent):
    type: Literal["directive_response"] = "directive_response"
    directive_id: Annotated[str, Field(strict=True, min_length=1, max_length=128)]
    outcome: ResponseOutcome
    epoch: Counter | None = None
    reason: Text | None = None
    progress: Fraction | None = None
    result: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What an agent must have to hold the task; in a coalition it binds every member."""

    capabilities: Capabilities = field(default_factory=list)
    resources: Amounts = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    zone: Id | None = None
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRequest:
    """Tasks of one group are kept apart: by agent, by zone, or by a label (``labels.`` and its name)."""

    group: Id
    by: Place = "agent"
    most: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    """So many of the group may be at one place; without it they only cost more there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    role: Id
    capabilities: Capabilities = field(default_factory=list)
    count: Annotated[int, Field(strict=True, ge=1, le=64)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoalitionRequest:
    """Either named roles with counts, or capabilities that the members must cover together."""

    roles: Annotated[list[Role], Field(min_length=1, max_length=16)] | None = None
    cover: Annotated[list[Id], Field(min_length=1, max_length=16)] | None = None
    max_size: Annotated[int, Field(strict=True, ge=1, le=64)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> CoalitionRequest:
        if (self.roles is None) == (self.cover is None):
            raise ValueError("give either roles or cover, not both")
        if self.roles is not None:
            if self.max_size is not None:
                raise ValueError("max_size belongs to cover; roles have counts")
            if len({role.role for role in self.roles}) != len(self.roles):
                raise ValueError("each role may be named once; use its count")
            if sum(role.count for role in self.roles) > 64:
                raise ValueError("a coalition has at most 64 members")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSubmitted(EventAboutTask):
    type: Literal["task_submitted"] = "task_submitted"
    requires: Requirements = field(default_factory=Requirements)
    slots: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 1
    size: Size = 1.0
    """Expected seconds on an agent of speed 1."""
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = 5
    deadline: Time | None = None
    prefer: Preference = field(default_factory=Preference)
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 3
    ack_timeout: AckTimeout = DEFAULT_ACK_TIMEOUT
    run_timeout: RunTimeout = DEFAULT_RUN_TIMEOUT
    tenant: Id | None = None
    coalition: CoalitionRequest | None = None
    spread: SpreadRequest | None = None
    payload: Json = None

    @model_validator(mode="after")
    def _alone(self) -> TaskSubmitted:
        if self.spread is not None and self.coalition is not None:
            raise ValueError("spread is for tasks of one agent; members of a coalition are different agents")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCancelled(EventAboutTask):
    type: Literal["task_cancelled"] = "task_cancelled"
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCordoned(EventAboutAgent):
    type: Literal["agent_cordoned"] = "agent_cordoned"
    deadline: Time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUncordoned(EventAboutAgent):
    type: Literal["agent_uncordoned"] = "agent_uncordoned"
    deadline: Time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDrained(EventAboutAgent):
    type: Literal["agent_drained"] = "agent_drained"
    deadline: Time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChanged(_Event):
    type: Literal["policy_changed"] = "policy_changed"
    policy: dict[str, Json]
    version: Annotated[int, Field(strict=True, ge=1)]

    @property
    def subject(self) -> str | None:
        return self.fleet


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time passes. Nothing of it is read but its type and its append time."""

    type: Literal["clock_ticked"] = "clock_ticked"

    @property
    def subject(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAccepted:
    """The fleet fold's echo of a policy change, to every events partition; others' are ignored."""

    type: Literal["policy_accepted"] = "policy_accepted"
    fleet: Fleet = DEFAULT_FLEET
    policy: dict[str, Json]
    version: Annotated[int, Field(strict=True, ge=1)]

    @property
    def subject(self) -> str | None:
        return None


AgentEvent: TypeAlias = (
    AgentRegistered
    | AgentDeregistered
    | StatusUpdate
    | MetricReport
    | ResourceReport
    | DirectiveResponse
    | AgentCordoned
    | AgentUncordoned
    | AgentDrained
)
TaskEvent: TypeAlias = TaskSubmitted | TaskCancelled
FleetEvent: TypeAlias = AgentEvent | TaskEvent | PolicyChanged | PolicyAccepted
"""Everything that belongs to one fleet: all but ticks."""
Event: TypeAlias = FleetEvent | ClockTicked

CHAINS: Chains = {
    "agent_registered": (),
    "agent_deregistered": (),
    "status_update": (),
    "metric_report": (),
    "resource_report": (),
    "directive_response": (),
    "task_submitted": (),
    "task_cancelled": (),
    "agent_cordoned": (),
    "agent_uncordoned": (),
    "agent_drained": (),
    "policy_changed": (),
    "policy_accepted": (),
    "clock_ticked": (),
}
"""Upcasters of earlier versions. No event has had a second version so far."""
OPERATOR_TYPES = frozenset({"agent_cordoned", "agent_uncordoned", "agent_drained", "policy_changed"})

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
# The adapter's own method of that name only adds 0.4 µs of looking at options to each event.
_validated: Callable[[object], Event] = _EVENT.validator.validate_python


def subject_of(event: Event) -> str | None:
    """The id that decides the event's partition; ``None`` for ticks and echoes, which have no place."""
    return event.subject


def validate_event(value: dict[str, object]) -> Event:
    """The event that a JSON object stands for.

    Raises:
        InvalidRecord: naming every field at fault; its code is ``unknown_type``, ``version`` or ``schema``.
    """
    try:
        return _validated(upcast(value, CHAINS))
    except ValidationError as error:
        raise _explained(error, value) from None


def decode_event(raw: bytes | None) -> Event:
    """:func:`validate_event` of the JSON object in ``raw``."""
    return validate_event(decode_object(raw))


def event_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a value on ``coordinator.events``."""
    return wire_schema(_EVENT)


def _explained(error: ValidationError, value: dict[str, object]) -> InvalidRecord:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    first = faults[0]["type"]
    if first == "union_tag_not_found":
        return InvalidRecord(
            "schema", "the field type is missing; every event needs one, such as status_update"
        )
    if first == "union_tag_invalid":
        return InvalidRecord("unknown_type", f"no event has the type {str(value.get('type'))[:64]!r}")
    lines = []
    for fault in faults[:8]:
        # The first part of the place is the union's tag, which the sender never wrote.
        place = ".".join(str(part) for part in fault["loc"][1:])
        lines.append(f"{place or 'value'}: {fault['msg']}")
    if len(faults) > 8:
        lines.append(f"and {len(faults) - 8} more")
    return InvalidRecord("schema", "; ".join(lines))
