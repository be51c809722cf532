"""What the fleet fold remembers: the rows of its tables. Whatever is not here does not survive a restart.

Rows are stored as arrays: a new field goes to the end and has a default, so that old rows still decode.
Times and durations are integer milliseconds. Amounts of resources are integer millionths (:func:`micro`): sums
of integers are the same in every order, so what is derived from rows equals what was kept up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from models.events import DEFAULT_HEARTBEAT_INTERVAL, Status
from models.fleet.seal import INTERVAL, SummedTable, WriteOnceTable
from models.fleet.spread import Spread
from models.fleet.team import Team, team_of
from models.fold import Table
from models.histogram import Histogram
from models.outputs import DirectiveType

Liveness: TypeAlias = Literal["alive", "suspected", "lost", "deregistered"]
TaskState: TypeAlias = Literal["pending", "assigned", "running"]
EndState: TypeAlias = Literal["completed", "failed", "cancelled"]
CoalitionState: TypeAlias = Literal["forming", "active", "degraded", "repairing", "dissolved"]
MemberState: TypeAlias = Literal["asked", "joined", "working", "completed"]
Outcome: TypeAlias = Literal["applied", "duplicate", "late", "rejected", "dead_lettered", "rekeyed", "tick"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""What can become of a record; every record read has exactly one. This fold never says late or rekeyed."""

MICRO = 1_000_000
_encode = msgspec.msgpack.Encoder().encode


def micro(amounts: Mapping[str, float]) -> dict[str, int]:
    """Amounts of resources as integer millionths, in the order of their names."""
    return {name: round(amounts[name] * MICRO) for name in sorted(amounts)}


class ClockRow(msgspec.Struct, array_like=True):
    """The partition itself: its time and its books. One row, with the empty key."""

    log_time: int = 0
    """The highest append time so far; what the next output is issued at, unless its record is younger."""
    fleet_time: int = -1
    """Log time up to which every events partition has been forwarded; -1 until each has reported."""
    outage: int = 0
    """The sum of all stretches of fleet time in which nobody could append."""
    records: int = 0
    """Records read; the outcomes sum to it."""
    outcomes: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    rejections: dict[str, int] = msgspec.field(default_factory=dict)
    """Rejected records by reason."""
    refusals: dict[str, int] = msgspec.field(default_factory=dict)
    """Entries of plans that no longer held when they were applied, by reason."""
    operations: dict[str, int] = msgspec.field(default_factory=dict)
    """Directives, results and alerts put out, by type."""
    offset: int = -1
    """Of the last record read."""
    resumed: int = -1
    """Issue time since which somebody forwards: of the first record, or of the first one after a pause in which no
    partition was forwarded. -1 before any."""
    heard: int = -1
    """Issue time at which a partition was last heard of; -1 before any."""
    sealed: int = 0
    """The state was sealed when all records below this offset were folded: see ``seal``."""
    sealed_at: int = -INTERVAL
    """Fleet time of that."""
    digest: bytes = b""
    """Of the state then; empty before the first seal."""

    def deciding(self) -> bytes:
        """What later outputs may depend on, encoded: the times, and not the books or where that is in the log."""
        return _encode((self.log_time, self.fleet_time, self.outage, self.resumed, self.heard))


class SourceRow(msgspec.Struct, array_like=True):
    """How far one partition of the events topic has been forwarded into here; key: its number."""

    through: int = -1
    offset: int = -1
    index: int = -1
    """With ``offset``: the highest source position seen. A record at or below it is a repeat."""
    gaps: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Stretches of log time, beyond fleet time, in which nothing was appended to that partition, ticks included,
    for longer than ``overdue.OUTAGE``; each from the last record before to the first one after."""
    heard: int = -1
    """Issue time of the last record that told something new of it."""


class FleetRow(msgspec.Struct, array_like=True):
    """One fleet; key: its name. The counts serve its reports."""

    policy: dict[str, Any] | None = None
    """The policy in force, as it stands on the wire; ``None`` for the default."""
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    assigned: int = 0
    """Assignments issued."""
    waited: int = 0
    """Sum of milliseconds that tasks were pending before an assignment, over all assignments."""
    reported: dict[str, int] = msgspec.field(default_factory=dict)
    """The counts above as the last report had them, with its time."""
    waited_max: int = 0
    """Longest such wait since the last report."""
    served: dict[str, int] = msgspec.field(default_factory=dict)
    """Of each tenant with live tasks, what it got so far in the end: see ``tenants``."""
    brake_due: int = 0
    """Fleet time at which agents whose loss is held back are looked at again; 0 while there are none."""
    brake_eased: int = 0
    """Fleet time since which so few are silent that the brake would not hold; 0 while it does, or holds nobody."""
    waits: Histogram = msgspec.field(default_factory=dict)
    """Of the milliseconds that ``waited`` sums up, since the last report."""
    slowdowns: Histogram = msgspec.field(default_factory=dict)
    """Of completed tasks since then: hundredths of how many times longer they took, from their submission, than
    the work itself."""
    reassigned: int = 0
    """Assignments of tasks that had been assigned before."""
    given: dict[str, int] = msgspec.field(default_factory=dict)
    """What each tenant was given since the last report, by its weight: see ``tenants.share_of``."""
    moved: int = 0
    """Tasks moved to even out load."""
    moved_at: int = 0
    """Issue time of the last such move."""
    preempted: int = 0
    """Assignments that ended so that a more urgent task got their place."""
    overloaded: dict[str, int] = msgspec.field(default_factory=dict)
    """Issue time of the report since which tasks that require these capabilities have found no room."""
    told: dict[str, int] = msgspec.field(default_factory=dict)
    """Alerts of each kind since ``told_since``, those that were withheld included: see ``floods``."""
    told_since: int = 0
    flood_until: int = 0
    """Fleet time at which it is told how many were withheld; 0 if none was."""
    plans: int = 0
    """Plans since the last report that told what they cost and what that is at the least,"""
    plan_cost: int = 0
    """and the sum of the one over them,"""
    plan_bound: int = 0
    """and of the other."""
    drain_due: int = 0
    """Fleet time at which drained agents are looked at whose deadline is over; 0 if that is not foreseen."""
    drain_from: int = 0
    """Fleet time before which nothing more is taken back from drained agents: see ``drains``."""
    planner: str | None = None
    """Who made the last plan: name and version."""


class AgentRow(msgspec.Struct, array_like=True):
    """One agent; key ``fleet/agent_id``."""

    fleet: str
    agent_id: str
    capabilities: list[str] = msgspec.field(default_factory=list)
    """Sorted, without repeats."""
    slots: int = 1
    """How many tasks it works on at once: its credits."""
    resources: dict[str, int] = msgspec.field(default_factory=dict)
    """Capacities in millionths."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    zone: str | None = None
    version: str | None = None
    heartbeat_interval: int = DEFAULT_HEARTBEAT_INTERVAL
    incarnation: int = 0
    """Of its last registration, or of the event that introduced it: a registration with a higher one means that
    it started again."""
    status: Status = "active"
    current_load: float = 0.0
    """The agent's own view. Shown to people, never planned on: the ledger knows better (and sooner)."""
    liveness: Liveness = "alive"
    cordoned: bool = False
    drained: bool = False
    """Cordoned, and told to finish. Both are an operator's flags, which no status clears."""
    registered_at: int = 0
    changed_at: int = 0
    """Issue time of the last record that changed this row."""
    speed: float = 1.0
    """How fast it works, by its last tasks: 2.0 is twice as fast as others are with tasks of the same kind."""
    speed_at: int = 0
    """Issue time of the last task that this was learned from; 0 before the first."""
    held_since: int = 0
    """Issue time since which its loss is held back by the brake; 0 if it is not."""
    failed: list[str] = msgspec.field(default_factory=list)
    """Ids of tasks that ended badly here since the last one that it completed: see ``breaker``."""
    limit: int | None = None
    """How many of its slots it gets work for while it is not fully trusted."""
    tripped_until: int = 0
    """Fleet time until which it gets no new work, since its breaker is open; 0 if it is not."""
    trips: int = 0
    """How often it has opened since it was last closed."""
    load: float = 0.0
    """Share of its slots that its live directives held, smoothed over time, as of ``load_at``."""
    load_at: int = 0
    tasks: float = 0.0
    """Tasks that ``speed`` was learned from, older ones counting for less,"""
    times: float = 0.0
    """the sum of how many times the usual time each took,"""
    doubt: float = 0.0
    """and its variance, if the agent is as fast as others."""
    held: list[int] = msgspec.field(default_factory=list)
    """Slot-milliseconds that its directives held in each span, the open one first: see ``held``."""
    held_at: int = 0
    """Issue time up to which they are counted."""
    drifted: int = 0
    """Windows running in which it reported more load than the ledger explains; below 0, none in spite of work."""
    background: float = 0.0
    """That load beyond the ledger's, as a share of its slots, smoothed."""
    taken: int = 0
    """So many of its slots count as taken by work that it was not given here: see ``drift``."""
    done: int = 0
    """Tasks that it completed since its errors were last looked at,"""
    bad: int = 0
    """and that ended badly on it: see ``throttle``."""
    cap: int | None = None
    """How many of its slots it gets work for, since too many tasks ended badly on it."""
    told: int | None = None
    """How many slots it was told to use; ``None`` for all."""
    reviewed: int = 0
    """Event time up to which its windows have been looked at."""
    only_capabilities: list[str] = msgspec.field(default_factory=list)
    """If there are any, it takes only tasks that require one of them. Sorted, without repeats."""
    only_tenants: list[str] = msgspec.field(default_factory=list)
    """If there are any, it takes only tasks of these tenants. Likewise."""
    flaps: int = 0
    """How often it was lost or started again, in thousandths, as of ``flapped_at``: see ``breaker``."""
    flapped_at: int = 0
    flapped_in: int = -1
    """The incarnation whose loss was counted last: the restart that follows is no other one."""
    drain_by: int = 0
    """Fleet time from which on what it still has is taken back, since it is drained; 0 if it may finish all."""


class TaskRow(msgspec.Struct, array_like=True):
    """One task that has not ended; key ``fleet/task_id``."""

    fleet: str
    task_id: str
    class_id: str
    """Tasks with equal requirements share it."""
    digest: bytes
    """Of what was submitted: an equal submission is a duplicate."""
    sequence: int
    """Offset of the record that submitted it: its age."""
    submitted_at: int
    capabilities: list[str]
    resources: dict[str, int]
    labels: dict[str, str]
    slots: int
    priority: int
    deadline: int | None
    max_attempts: int
    ack_timeout: int
    run_timeout: int
    payload: bytes
    """Compact JSON, as it goes out with every assignment."""
    coalition: bytes | None = None
    """Compact JSON of the coalition asked for, if any."""
    size: float = 1.0
    prefer_zone: str | None = None
    prefer_labels: dict[str, str] = msgspec.field(default_factory=dict)
    tenant: str | None = None
    state: TaskState = "pending"
    pending_since: int = 0
    epoch: int = 0
    """Of the last assignment; 0 before the first. The next one opens ``epoch + 1``."""
    attempts: int = 0
    """Failures, run timeouts, and losses after acceptance."""
    deliveries: int = 0
    """Rejections and ack timeouts."""
    retry_at: int = 0
    """Issue time before which it is not placed again."""
    skips: dict[str, int] = msgspec.field(default_factory=dict)
    """Agents that rejected or ignored it, and the issue time until which they are not asked again."""
    directive_id: str | None = None
    """Its live assignment, while it is not pending."""
    agent_id: str | None = None
    """Addressee of the last assignment."""
    attempt: int = 0
    """What the last assignment carried as its attempt."""
    last_reason: str | None = None
    """Why the last assignment ended."""
    impossible_alerted: bool = False
    """Whether people know that nobody could ever hold it."""
    promotions: int = 0
    """Levels of priority that it has gained by waiting."""
    coalition_id: str | None = None
    """Of the coalition that has it, while it is not pending."""
    failed_on: list[str] = msgspec.field(default_factory=list)
    """Different agents on which attempts of it ended, as far as the policy's ``quarantine`` counts."""
    risk_alerted: bool = False
    """Whether people know that it will hardly meet its deadline."""
    moved_at: int = 0
    """Issue time at which it was last moved to even out load; 0 if never."""
    claim: str | None = None
    """The withdrawal of a task that gives way to this one, while it is live."""
    spread: Spread | None = None
    """What it wants of others of its group, if it is in one."""

    def skipped(self, now: int) -> list[str]:
        """Agents that are not asked yet, since they turned it down a moment ago."""
        return [agent_id for agent_id, until in self.skips.items() if until > now]

    @property
    def standing(self) -> int:
        """Its priority as it counts in the queue: ageing raises it."""
        return self.priority + self.promotions

    @property
    def team(self) -> Team | None:
        """What it asks of a coalition; ``None`` if one agent is to do it."""
        return None if self.coalition is None else team_of(self.coalition)


class EndedTaskRow(msgspec.Struct, array_like=True):
    """What is remembered of a task after its end; key ``fleet/task_id``."""

    state: EndState
    digest: bytes
    ended_at: int
    epoch: int
    attempt: int
    agent_id: str | None
    reason: str | None
    submitted_at: int
    forget_at: int
    """Fleet time after which its id may be used again."""


class DirectiveRow(msgspec.Struct, array_like=True):
    """A live directive; key: its id. It holds credit until it ends, and is deleted then."""

    fleet: str
    agent_id: str
    type: DirectiveType
    offset: int
    """Of the fleet record that caused it; with ``index`` its place in the order of issue."""
    index: int
    issued_at: int
    ack_by: int
    ack_timeout: int
    outage: int
    """The clock's ``outage`` when it was issued, and what came to that later of stretches before it was issued:
    what the clock has more extends its times."""
    task_id: str | None = None
    epoch: int | None = None
    attempt: int | None = None
    expires_at: int | None = None
    slots: int = 0
    """Credit held."""
    resources: dict[str, int] = msgspec.field(default_factory=dict)
    """Resources held, in millionths."""
    accepted: bool = False
    progress: float | None = None
    round: int = 1
    """Control directives are repeated until answered; this is the how-manieth."""
    deadline: int | None = None
    """Of a drain, as the operator gave it."""
    accepted_at: int = 0
    """Issue time of the answer that accepted it; 0 before."""
    coalition_id: str | None = None
    """Of the coalition that it is about."""
    role: str | None = None
    """Its addressee's, there."""
    heard_at: int = 0
    """Issue time of the last answer that told of progress; 0 before."""
    stuck_at: int = 0
    """Fleet time at which it is looked at whether the task is stuck; 0 if it is not, or people know."""
    use: int | None = None
    """Of a throttle: how many slots to use; ``None`` for all."""
    group: str | None = None
    """Of the task that its credit is for, if tasks of that group are to be kept apart."""
    tenant: str | None = None
    """Of that task."""

    @property
    def is_single(self) -> bool:
        """Whether it gives a task to one agent alone."""
        return self.type == "assign_task" and self.coalition_id is None


class EndedDirectiveRow(msgspec.Struct, array_like=True):
    """A directive that ended not long ago, so that a late answer gets a precise reason; key: its id."""

    fleet: str
    agent_id: str
    epoch: int | None
    forget_at: int
    answer: str | None = None
    """The agent's word that ended it; ``None`` if something else did."""


class MemberRow(msgspec.Struct, array_like=True):
    """One agent's part in a coalition."""

    agent_id: str
    role: str | None
    state: MemberState
    directive_id: str | None
    """Its live join or assignment; ``None`` when it has completed its part."""
    covers: list[str] = msgspec.field(default_factory=list)
    """What it is there for, where capabilities are to be covered; it counts as long as it stays."""
    result: bytes = b"null"
    """What it completed with, as compact JSON."""


class CoalitionRow(msgspec.Struct, array_like=True):
    """Agents that do one task together; key: the coalition's id."""

    fleet: str
    task_id: str
    epoch: int
    plan_id: str
    state: CoalitionState
    members: list[MemberRow]
    """In the order in which they were asked. Who refuses, falls silent or is lost is none any more."""
    formed_at: int
    since: int
    """Issue time since which it is in this state."""
    act_by: int
    """Fleet time at which it is given up, unless all its members are at work; 0 while they are."""
    started: bool = False
    """Whether they have been, once."""
    repairs: int = 0
    reason: str | None = None
    """Why it was dissolved."""
    forget_at: int = 0
    """Fleet time after which it is forgotten; 0 before it is dissolved."""


class PaceRow(msgspec.Struct, array_like=True):
    """How long tasks of one class take; key ``fleet/class_id``."""

    mean: float
    """Milliseconds for each unit of size."""
    count: int
    """Completed tasks that this was learned from, as far as they count."""
    forget_at: int
    """Fleet time after which it may be forgotten; it is not while tasks go on to complete."""
    times: Histogram = msgspec.field(default_factory=dict)
    """Of the milliseconds for each unit of size; older ones count for less."""
    seen: int = 0
    """How many are counted there."""
    slow: int = 0
    """The 99th percentile there, as of a few tasks ago at most."""
    variance: float = 1.0
    """Of the times that agents take, as shares of their own mean: what chance has in them."""


class ImpossibleRow(msgspec.Struct, array_like=True):
    """A class of pending tasks that no registered agent could ever hold; key ``fleet/class_id``."""

    since: int


class WindowRow(msgspec.Struct, array_like=True):
    """A closed window whose report is still open for other partitions' shares; key ``fleet/start/end``."""

    fleet: str
    start: int
    end: int
    due: int
    """The report goes out when fleet time is past this."""
    agents: int = 0
    late: int = 0
    metrics: dict[str, tuple[int, int, float, float, float, float]] = msgspec.field(default_factory=dict)
    """Per metric: agents, samples, sum of the agents' means, least, greatest, sum of the agents' last."""


class AlertRow(msgspec.Struct, array_like=True):
    """An alert that is not repeated before ``until``; key ``fleet/type/reason/subject``."""

    until: int


class Tables:
    """The tables of one partition's fold."""

    __slots__ = (
        "agents",
        "alerts",
        "clock",
        "coalitions",
        "directives",
        "ended_directives",
        "ended_tasks",
        "fleets",
        "impossible",
        "paces",
        "sources",
        "tasks",
        "windows",
    )

    def __init__(self) -> None:
        self.clock = Table("clock", ClockRow)
        self.sources = SummedTable("sources", SourceRow)
        self.fleets = SummedTable("fleets", FleetRow)
        self.agents = SummedTable("agents", AgentRow)
        self.tasks = SummedTable("tasks", TaskRow)
        self.ended_tasks = WriteOnceTable("ended_tasks", EndedTaskRow, "forget_at", "task")
        self.directives = SummedTable("directives", DirectiveRow)
        self.ended_directives = WriteOnceTable(
            "ended_directives", EndedDirectiveRow, "forget_at", "directive"
        )
        self.impossible = SummedTable("impossible", ImpossibleRow)
        self.coalitions = SummedTable("coalitions", CoalitionRow)
        self.paces = SummedTable("paces", PaceRow)
        self.windows = SummedTable("windows", WindowRow)
        self.alerts = WriteOnceTable("alerts", AlertRow, "until", "alert")

    def by_name(self) -> dict[str, Table[Any]]:
        return {table.name: table for table in (self.clock, *self.summed())}

    def write_once(self) -> tuple[WriteOnceTable[Any], ...]:
        """Those whose rows are forgotten at a time that each names."""
        return (self.ended_tasks, self.ended_directives, self.alerts)

    def summed(self) -> tuple[SummedTable[Any], ...]:
        """All but the clock, of which only a part decides anything."""
        return (
            self.sources,
            self.fleets,
            self.agents,
            self.tasks,
            self.ended_tasks,
            self.directives,
            self.ended_directives,
            self.impossible,
            self.coalitions,
            self.paces,
            self.windows,
            self.alerts,
        )
