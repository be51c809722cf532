"""What stands in the fleet log, ``coordinator.fleet``: everything that a decision depends on, in one order.

Only the coordinator writes it: the ingress folds forward facts, closed windows, liveness and clock ticks, the
planner appends its proposals. All times are integer milliseconds inside and seconds on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from models.codec import MAX_DEPTH, InvalidRecord, decode_object
from models.events import (
    AgentCordoned,
    AgentDeregistered,
    AgentDrained,
    AgentRegistered,
    AgentUncordoned,
    DirectiveResponse,
    MetricReport,
    PolicyChanged,
    ResourceReport,
    StatusUpdate,
    TaskCancelled,
    TaskSubmitted,
    validate_event,
)
from models.fields import Counter, Fleet, Id, Number, Time, wire_schema
from models.upcasting import Chains, upcast

MAX_FLEET_RECORD_BYTES = 4 << 20
LOAD = "current_load"
"""Metric under which an agent's own view of its load is aggregated."""

FactEvent: TypeAlias = (
    AgentRegistered
    | AgentDeregistered
    | StatusUpdate
    | MetricReport
    | ResourceReport
    | DirectiveResponse
    | TaskSubmitted
    | TaskCancelled
    | AgentCordoned
    | AgentUncordoned
    | AgentDrained
    | PolicyChanged
)

FACT_TYPES = frozenset(
    {
        "agent_registered",
        "agent_deregistered",
        "status_update",
        "metric_report",
        "resource_report",
        "directive_response",
        "task_submitted",
        "task_cancelled",
        "agent_cordoned",
        "agent_uncordoned",
        "agent_drained",
        "policy_changed",
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where in ``coordinator.events`` a fleet record comes from.

    ``index`` counts the records that one event, or one tick, caused. Per partition ``(offset, index)`` only
    rises, so a fold that remembers the highest drops every repeat: exactly once in effect.
    """

    partition: Counter
    offset: Counter
    index: Counter


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that a decision may depend on, as the ingress fold forwarded it."""

    source: Source
    through: int
    """Log time up to which the source's partition has been forwarded."""
    event: FactEvent
    original: dict[str, object]
    """The event as it was sent, fields that nobody knows included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What one window saw of one metric."""

    count: Counter
    sum: Number
    mean: Number
    min: Number
    max: Number
    last: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed:
    """A tumbling event-time window ``[start, end)`` of many agents; emitted once, never amended."""

    type: Literal["window_closed"] = "window_closed"
    source: Source
    fleet: Fleet
    start: Time
    end: Time
    agents: dict[Id, dict[str, Aggregate]]
    late: Counter = 0
    """Records of this fleet that came too late for their window since the last one closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Liveness:
    source: Source
    fleet: Fleet
    agent_id: Id
    silence: Counter = 0
    """Counted silence in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSuspected(_Liveness):
    type: Literal["agent_suspected"] = "agent_suspected"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLost(_Liveness):
    type: Literal["agent_lost"] = "agent_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecovered(_Liveness):
    type: Literal["agent_recovered"] = "agent_recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughTicked:
    """``partition`` of the events topic has been forwarded up to ``through``; it moves fleet time."""

    type: Literal["clock_ticked"] = "clock_ticked"
    partition: Counter
    through: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedDirective:
    """One entry of a plan: give this task, at this epoch, to this agent."""

    type: Literal["assign_task"] = "assign_task"
    task_id: Id
    agent_id: Id
    epoch: Counter
    """The epoch that the assignment would open: the task's last one plus 1. A stale plan cannot match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedMember:
    """One agent's place in a coalition."""

    agent_id: Id
    role: Id | None = None
    """``None`` where the members cover capabilities together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedCoalition:
    """One entry of a plan: these agents together, all of them or none.

    ``form_coalition``: for a pending task, at its last epoch plus 1. ``repair_coalition``: to take the places that
    are vacant in the task's coalition, at its epoch.
    """

    type: Literal["form_coalition", "repair_coalition"]
    task_id: Id
    epoch: Counter
    members: Annotated[list[ProposedMember], Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedPreemption:
    """One entry of a plan: stop a task that an agent has, so that a more urgent one gets its place."""

    type: Literal["preempt_task"] = "preempt_task"
    task_id: Id
    """The one that gives way; it is pending again."""
    agent_id: Id
    epoch: Counter
    """Of its assignment."""
    for_task: Id
    """The one that waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedMove:
    """One entry of a plan: take a task from one agent and give it to another, in one step."""

    type: Literal["move_task"] = "move_task"
    task_id: Id
    from_agent: Id
    agent_id: Id
    epoch: Counter
    """The epoch that the new assignment would open."""


ProposedEntry: TypeAlias = ProposedDirective | ProposedCoalition | ProposedPreemption | ProposedMove


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerVersion:
    name: str
    version: str
    budget: Counter
    """Work units that the planner might spend; never milliseconds, which no replay could repeat."""
    truncated: bool = False
    """Whether that was not enough to look at everything: the plan is what was found so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedState:
    """The state of a partition of the fleet log when it was sealed: see ``models.fleet.seal``."""

    offset: Counter
    """All records below it were folded."""
    digest: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{32}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Out of what a plan was made, beside the record that it is based on."""

    fold: Counter
    """Version of the fold whose state it was."""
    policy: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{16}$")]
    """Digest of the policy: see ``models.policy.digest_of``."""
    state: SealedState | None
    """The last seal; ``None`` before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinationPlan:
    """What the planner proposes; the fleet fold re-validates each entry and applies what still holds."""

    type: Literal["plan_proposed"] = "plan_proposed"
    plan_id: Id
    fleet: Fleet
    based_on: int
    """Offset of the last fleet record in the snapshot that was planned on; -1 for none."""
    directives: list[Annotated[ProposedEntry, Field(discriminator="type")]] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    """Names of the constraints that were evaluated."""
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = 0
    """The highest priority among the tasks it places."""
    objective: int = 0
    bound: int | None = None
    """What any plan that places the same tasks costs at the least, where the planner knows that."""
    planner: PlannerVersion
    policy_version: Counter = 0
    pending: dict[str, Counter] = field(default_factory=dict)
    """Pending tasks at ``based_on`` per class; sums to their number."""
    provenance: Provenance | None = None


FleetRecord: TypeAlias = (
    Fact | WindowClosed | AgentSuspected | AgentLost | AgentRecovered | ThroughTicked | CoordinationPlan
)

_OwnRecord: TypeAlias = (
    WindowClosed | AgentSuspected | AgentLost | AgentRecovered | ThroughTicked | CoordinationPlan
)
CHAINS: Chains = {
    "window_closed": (),
    "agent_suspected": (),
    "agent_lost": (),
    "agent_recovered": (),
    "clock_ticked": (),
    "plan_proposed": (),
}
"""Upcasters of earlier versions of the coordinator's own records. None has had a second version so far; facts hold
events, which have chains of their own."""
_OWN: TypeAdapter[_OwnRecord] = TypeAdapter(Annotated[_OwnRecord, Field(discriminator="type")])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    source: Source
    through: Time
    event: dict[str, Any]


_ENVELOPE: TypeAdapter[_Envelope] = TypeAdapter(_Envelope)


def decode_fleet_record(raw: bytes | None) -> FleetRecord:
    """The fleet record that the bytes stand for.

    Raises:
        InvalidRecord: if they stand for none. Only the coordinator writes this topic, so that is damage.
    """
    value = decode_object(raw, max_bytes=MAX_FLEET_RECORD_BYTES, max_depth=MAX_DEPTH + 1)
    kind = value.get("type")
    try:
        if not isinstance(kind, str) or kind not in FACT_TYPES:
            return _OWN.validate_python(upcast(value, CHAINS))
        envelope = _ENVELOPE.validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InvalidRecord("schema", f"{place or 'value'}: {fault['msg']}") from None
    event = validate_event({"type": kind, **envelope.event})
    if event.type != kind:
        raise InvalidRecord("schema", f"the record says {kind}, its event {event.type}")
    return Fact(envelope.source, envelope.through, event, envelope.event)  # type: ignore[arg-type]


def fleet_record_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a value on ``coordinator.fleet``."""
    own: dict[str, Any] = wire_schema(_OWN)
    fact = {
        "title": "Fact",
        "type": "object",
        "properties": {
            "type": {"enum": sorted(FACT_TYPES)},
            "source": {"$ref": "#/$defs/Source"},
            "through": {"type": "number", "minimum": 0},
            "event": {"type": "object", "description": "The event as it was sent."},
        },
        "required": ["type", "source", "through", "event"],
    }
    return {"$defs": {**own["$defs"], "Fact": fact}, "oneOf": [{"$ref": "#/$defs/Fact"}, *own["oneOf"]]}


def encode_fact(
    event_type: str, partition: int, offset: int, index: int, through: int, original: bytes
) -> bytes:
    """A forwarded fact around the event's own bytes, which are JSON already and stay untouched."""
    return b'{"type":"%b","source":{"partition":%d,"offset":%d,"index":%d},"through":%d.%03d,"event":%b}' % (
        event_type.encode(),
        partition,
        offset,
        index,
        through // 1000,
        through % 1000,
        original,
    )
