"""What may differ from fleet to fleet: the numbers by which both folds decide, with their units and defaults.

A policy reaches the folds through the log alone (``policy_changed``, echoed as ``policy_accepted``), never
through settings, or a replay could not repeat what a fold decided. Durations are integer milliseconds inside
and seconds on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, ClassVar

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from models.codec import InvalidRecord
from models.fields import Counter, Id, duration, wire_schema
from models.objective import Weights

TICK_INTERVAL = 1_000
"""Milliseconds of log time for which at most one tick counts.

It belongs to the wire contract and not to a policy: ticks belong to partitions, which all fleets share, and
every fold must agree on it, or the one would take the other's ordinary rhythm for an outage.
"""

_STRICT = ConfigDict(extra="forbid")
"""A mistyped name in a patch must be an error; ignored, it would be a setting that silently does nothing."""

_Short = Annotated[int, duration(0.001, 3_600)]
_Long = Annotated[int, duration(0, 31_536_000)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
_Grants = Annotated[
    dict[
        Id,
        Annotated[
            dict[Id, Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]],
            Field(max_length=64),
        ],
    ],
    Field(max_length=1_000),
]
_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessPolicy:
    """When silence means suspicion, and when loss. The formula stands in ``models.ingress.liveness``."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    phi: Annotated[float, Field(strict=True, ge=1, le=64, allow_inf_nan=False)] = 8.0
    """Suspicion level at which silence counts as too long: 8 means a chance of 10^-8 that it is chance."""
    suspect_pause: _Long = 3_000
    """Milliseconds of silence beyond the usual that are forgiven before an agent is suspected."""
    lost_pause: _Long = 9_000
    """Milliseconds of silence beyond the usual that are forgiven before a suspected agent is lost."""
    min_std: _Short = 100
    """Milliseconds: the least spread that is assumed, so that a metronome is not lost for one hiccup."""
    suspect_max: _Long = 10_000
    """Milliseconds of silence after which an agent is suspected, however irregular it is."""
    lost_max: _Long = 20_000
    """Milliseconds of silence after which an agent is lost, however irregular it is."""
    memory: _Count = 100
    """Beats over which an agent's rhythm is remembered (the weight of a new one is 1 / memory)."""
    brake_share: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 0.25
    """Share of the registered agents: while so many of them are silent at the same time, none counts as lost. That
    they cannot be heard is more likely than that all of them died. With 1 only if all are."""
    brake_hold: _Long = 60_000
    """Milliseconds after which agents whose loss is held back count as lost all the same, a few each second."""

    # All durations but min_std hold at the default heartbeat interval of 1 s; an agent that announced a
    # longer one gets them longer in proportion. A shorter one does not shorten them.

    @model_validator(mode="after")
    def _in_order(self) -> LivenessPolicy:
        if self.suspect_max > self.lost_max or self.suspect_pause > self.lost_pause:
            raise ValueError("an agent must be suspected before it is lost: suspect_* may not exceed lost_*")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPolicy:
    """Tumbling event-time windows of what agents report."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    size: Annotated[int, duration(0.1, 86_400)] = 10_000
    """Milliseconds that one window spans; windows start at its multiples since 1970."""
    max_lateness: Annotated[int, duration(0, 3_600)] = 5_000
    """Milliseconds that an event's time may lie behind; an older one counts as exactly so old."""
    max_skew: Annotated[int, duration(0, 3_600)] = 2_000
    """Milliseconds that an event's time may lie ahead of log time; a later one counts as exactly so late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a task waits before its next attempt: ``min(cap, base * factor^(n - 1))``, then jitter."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    base: _Long = 1_000
    """Milliseconds before the second attempt."""
    factor: Annotated[float, Field(strict=True, ge=1, le=100, allow_inf_nan=False)] = 2.0
    """By how much each wait is longer than the one before."""
    cap: _Long = 60_000
    """Milliseconds: no wait is longer."""
    jitter: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 0.5
    """Share of the wait that is spread, from 0 (none) to 1 (all of it), by a hash of task id and epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningPolicy:
    """Which task is placed first, and what makes one place better than another."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    objective: Weights = field(default_factory=Weights)
    """What placements cost; the formula stands in ``models.objective``."""
    ageing: Annotated[int, duration(1, 31_536_000)] = 600_000
    """Milliseconds of waiting that raise a task as much as one level of priority, so that none starves."""
    tenants: Annotated[
        dict[Id, Annotated[int, Field(strict=True, ge=1, le=1_000)]], Field(max_length=1_000)
    ] = field(default_factory=dict)
    """Weights of tenants: of two whose tasks wait, one of weight 3 gets three times the work of one of weight 1,
    which is what an unnamed one has."""
    quotas: _Grants = field(default_factory=dict)
    """What each tenant may hold at once, of slots (``slots``) and of named resources."""
    allocations: _Grants = field(default_factory=dict)
    """Likewise, each tenant's part of what there is, as it was proposed last: see ``coordinator resources``. The
    lower of both holds."""
    reservation: _Short = 30_000
    """Milliseconds in which all members of a coalition must have come together, when it is formed and whenever one
    has to be replaced; then the others are dismissed."""
    preemption: Annotated[int, Field(strict=True, ge=0, le=9)] = 0
    """A task may take the place of one that runs if its priority is higher by so much; with 0 never. What the one
    that runs has gained by waiting (``ageing``) protects it, so that none is put off for ever."""
    speed_memory: _Long = 300_000
    """Milliseconds after which what was measured of an agent's speed counts for half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When an agent that fails at its tasks gets no more for a while, or fewer at once.

    See ``models.fleet.breaker`` and ``models.fleet.throttle``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    failures: Annotated[int, Field(strict=True, ge=1, le=100)] = 5
    """So many different tasks that ended badly on it, none completed in between, open an agent's breaker."""
    pause: _Short = 30_000
    """Milliseconds without new work, when it opens first; twice as many at each time that it opens again."""
    longest_pause: _Long = 600_000
    """Milliseconds: no pause is longer."""
    share: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 0.1
    """Share of the registered agents whose breakers may be open at the same time, one in any case: if more of them
    fail, it is not their fault. 0 switches breakers off. Likewise for agents that are throttled."""
    flaps: Annotated[int, Field(strict=True, ge=0, le=10)] = 3
    """An agent that was lost, or has started again without a word, more than so many times lately gets no new work
    once it is there again. 0 forgives everything."""
    flap_memory: Annotated[int, duration(1, 31_536_000)] = 300_000
    """Milliseconds after which each of those times counts for half."""
    errors: Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)] = 0.5
    """Share of the tasks that ended on an agent lately from which on it gets half as many at once: see
    ``models.fleet.throttle``. With 1 only if all of them did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalancingPolicy:
    """Whether running tasks are moved to even out load, and how seldom. See ``streams.planner.rebalancing``."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    moves: Annotated[int, Field(strict=True, ge=0, le=1_000)] = 0
    """Most moves of one plan; 0 switches rebalancing off. A task that is moved begins anew."""
    interval: _Short = 5_000
    """Milliseconds between two plans that move tasks."""
    start: _Share = 0.2
    """Moves begin where an agent's load is above the mean by this share of it,"""
    stop: _Share = 0.05
    """and go on until none is by this one."""
    cool_down: _Long = 60_000
    """Milliseconds for which a task that was moved stays where it is."""
    load_memory: _Long = 20_000
    """Milliseconds after which the load that an agent had counts for half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One fleet's policy. A new one per change: ``version`` only rises."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    tick_interval: ClassVar[int] = TICK_INTERVAL

    version: Counter = 0
    """0 is the default policy, which nobody had to announce."""
    register_unknown_agents: Annotated[bool, Field(strict=True)] = True
    """Whether any event of an unknown agent registers it with defaults, or is rejected."""
    liveness: LivenessPolicy = field(default_factory=LivenessPolicy)
    windows: WindowPolicy = field(default_factory=WindowPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    planning: PlanningPolicy = field(default_factory=PlanningPolicy)
    rebalancing: RebalancingPolicy = field(default_factory=RebalancingPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    quarantine: _Count = 3
    """Different agents on which attempts of a task must end for it to count as poisoned: people are told, and from
    then on it waits for the longest back-off before each further attempt."""
    overload_after: _Long = 30_000
    """Milliseconds for which tasks that require the same capabilities must have found no room before people are
    told how many slots are lacking."""
    stuck_factor: Annotated[float, Field(strict=True, ge=1, le=1_000, allow_inf_nan=False)] = 3.0
    """A running task counts as stuck after this many times the 99th percentile of its class without progress."""
    drift_tolerance: Annotated[float, Field(strict=True, gt=0, le=2, allow_inf_nan=False)] = 0.25
    """Share of its slots by which an agent's reported load may exceed what the ledger holds for it, before slots
    count as taken by others: see ``models.fleet.drift``. With 2 they never do."""
    deliveries: _Count = 20
    """Rejections and ack timeouts after which a task fails: nobody wants it."""
    reject_cooldown: _Long = 30_000
    """Milliseconds for which an agent that rejected or ignored a task is not asked for it again."""
    drain_pace: _Count = 100
    """Tasks that are taken back in a second, in the whole fleet, from drained agents whose deadline is over."""
    task_memory: _Long = 7 * 86_400_000
    """Milliseconds for which the id of an ended task is remembered, so that a repeat is a duplicate."""
    control_attempts: _Count = 3
    """How often an unanswered control directive is sent in all."""
    control_ack_timeout: _Short = 10_000
    """Milliseconds in which a control directive without a task should be answered."""
    alert_throttle: _Short = 60_000
    """Milliseconds for which the same alert about the same subject is not repeated."""
    alert_burst: _Count = 100
    """Alerts of one kind within that time, of whatever subjects; how many more there were is told after it."""


DEFAULT_POLICY = Policy()

_POLICY: TypeAdapter[Policy] = TypeAdapter(Policy)


def patched(policy: Policy, patch: Mapping[str, object], version: int) -> Policy:
    """``policy`` with the fields that ``patch`` names replaced, as ``version``.

    A patch is a JSON merge patch (RFC 7396) of the wire form: what it leaves out stays, ``null`` restores the
    default. A whole policy is a patch that names everything; a ``version`` within it is not read.

    Raises:
        InvalidRecord: with code ``schema`` if a field is unknown or out of bounds; names every such field.
    """
    merged = _merged(policy_to_wire(policy), {k: v for k, v in patch.items() if k != "version"})
    try:
        return _POLICY.validate_python({**merged, "version": version})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        places = ((".".join(str(part) for part in fault["loc"]), fault["msg"]) for fault in faults[:8])
        lines = "; ".join(f"policy.{place}: {message}" for place, message in places)
        raise InvalidRecord("schema", lines) from None


def policy_to_wire(policy: Policy) -> dict[str, object]:
    """The whole policy as JSON values, durations in seconds; :func:`patched` reads it back."""
    wire: dict[str, object] = _POLICY.dump_python(policy, mode="json")
    return wire


def digest_of(policy: Policy) -> str:
    """What tells policies apart: the first 16 hexadecimal digits of the SHA-256 of the whole policy on the wire,
    as compact JSON with sorted names."""
    return sha256(orjson.dumps(policy_to_wire(policy), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def policy_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a whole policy on the wire; a patch is any part of it."""
    return wire_schema(_POLICY)


def _merged(target: dict[str, object], patch: Mapping[str, object]) -> dict[str, object]:
    result = dict(target)
    for name, value in patch.items():
        old = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(old, dict):
            result[name] = _merged(old, value)
        else:
            result[name] = value
    return result


__all__ = [
    "DEFAULT_POLICY",
    "TICK_INTERVAL",
    "BreakerPolicy",
    "LivenessPolicy",
    "PlanningPolicy",
    "Policy",
    "RebalancingPolicy",
    "RetryPolicy",
    "WindowPolicy",
    "digest_of",
    "patched",
    "policy_schema",
    "policy_to_wire",
]
