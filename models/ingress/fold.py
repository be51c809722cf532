"""The way of one record through the ingress fold, from bytes to its one outcome.

What each kind of record does in detail lies in the files beside this one; see the package's first lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from models.codec import InvalidRecord
from models.events import (
    DEFAULT_FLEET,
    ClockTicked,
    EventAboutAgent,
    EventAboutTask,
    FleetEvent,
    PolicyAccepted,
    PolicyChanged,
)
from models.fields import LAST_MILLISECOND
from models.fold import Output, Record, Table
from models.ingress.agents import Agents, Rejected
from models.ingress.alerts import Alerts
from models.ingress.beats import short_way
from models.ingress.fleets import Fleets
from models.ingress.intake import read_event
from models.ingress.liveness import Watch
from models.ingress.outbox import Outbox
from models.ingress.placement import Placement
from models.ingress.rows import ClockRow, Outcome, Tables, names_of
from models.ingress.windows import Windows
from models.policy import DEFAULT_POLICY, TICK_INTERVAL, patched
from models.security import OPEN, Security

EVENTS_TOPIC = "coordinator.events"

_LAST_LOG_TIME = LAST_MILLISECOND - 400 * 86_400_000
"""Only a broken broker sends a later append time, yet the fold must survive it, and windows reach beyond it."""

_TICK_LEEWAY = TICK_INTERVAL // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressStatus:
    """How one partition stands, for monitoring. Times are epoch milliseconds."""

    partition: int
    records: int
    outcomes: Mapping[str, int]
    """Sums to ``records``."""
    rejections: Mapping[str, int]
    """Rejected records by reason."""
    contradictions: int
    """CloudEvents headers that said something else than the body."""
    agents: int
    """Known and not deregistered."""
    active_agents: int
    """Those of them that are neither lost nor said to be offline or in error."""
    log_time: int
    watermark: int
    """The lowest among the fleets: windows that end at or before it are closed in all of them."""
    ticks: int


class IngressFold:
    """The fold of one partition of ``coordinator.events``; implements :class:`models.fold.Fold`.

    Args:
        partition: Which partition of the events topic this is.
        partitions: How many partitions ``events`` and ``fleet`` have.
        topic: Full name of the events topic; it stands in the origins of re-appended records.
        security: Who may say what.
    """

    def __init__(
        self,
        partition: int,
        partitions: Mapping[str, int],
        *,
        topic: str = EVENTS_TOPIC,
        security: Security = OPEN,
    ) -> None:
        self.partition = partition
        self._topic = topic
        self._security = security
        self._tables = tables = Tables()
        self._outbox = Outbox(partition, partitions, topic)
        self._placement = Placement(partition, partitions["events"], topic, tables.origins)
        self._fleets = Fleets(tables.fleets)
        self._windows = Windows(tables.agents, self._fleets, self._outbox)
        self._watch = Watch(tables.agents, tables.clock, self._fleets, self._outbox)
        self._agents = Agents(tables, self._fleets, self._windows, self._watch, self._outbox)
        self._alerts = Alerts(tables.alerts, self._outbox)
        self._short_way = short_way(
            tables, self._fleets, self._windows, self._outbox, self._move_time, self._fold
        )
        self._clock = tables.clock.put("", ClockRow())

    @property
    def tables(self) -> Mapping[str, Table[msgspec.Struct]]:
        tables = self._tables
        every: list[Table[msgspec.Struct]] = [
            tables.agents,  # type: ignore[list-item]
            tables.fleets,  # type: ignore[list-item]
            tables.clock,  # type: ignore[list-item]
            tables.origins,  # type: ignore[list-item]
            tables.alerts,  # type: ignore[list-item]
        ]
        return {table.name: table for table in every}

    def restored(self) -> None:
        clock = self._tables.clock
        self._clock = clock.get("") or clock.put("", ClockRow())
        self._fleets.rebuild()
        self._windows.rebuild()
        self._watch.rebuild()

    def fold(self, records: Sequence[Record]) -> list[Output]:
        clock = self._clock
        if self._security is OPEN:
            self._short_way(records, clock)
        else:
            self._long_way(records, clock)
        clock.records += len(records)
        self._tables.clock.touch("")
        return self._outbox.take()

    def _long_way(self, records: Sequence[Record], clock: ClockRow) -> None:
        """Every record in full: in the secured profile each has an author to check."""
        for record in records:
            if record.timestamp > clock.log_time:
                self._move_time(record.timestamp)
            self._outbox.begin(record.offset, clock.log_time)
            clock.outcomes[self._fold(record)] += 1

    def _move_time(self, log_time: int) -> None:
        clock = self._clock
        if clock.log_time >= clock.through_due:
            self._forward_time()
        clock.log_time = min(log_time, _LAST_LOG_TIME)

    def _fold(self, record: Record) -> Outcome:
        clock = self._clock
        try:
            original = self._security.opened(record.value)
            event, contradictions = read_event(original, record.headers)
            clock.contradictions += contradictions
            if isinstance(event, ClockTicked):
                return self._tick()
            return self._place(record, event, original or b"")
        except InvalidRecord as error:
            return self._dead_letter(record, error)

    def _place(self, record: Record, event: FleetEvent, original: bytes) -> Outcome:
        """Apply the event if its subject lives here; else send the record to where it does."""
        subject = event.subject
        fleet = event.fleet
        key = f"{fleet}/{subject}"
        # Whoever has a row lives here: the common case is spared the hash.
        if subject is not None and key not in self._tables.agents:
            home = self._placement.partition_of(subject)
            if home != self.partition:
                self._outbox.reappend(record, subject.encode(), home)
                return "rekeyed"
        if record.headers and self._placement.is_repeat(record.headers):
            return "duplicate"
        try:
            if self._security is not OPEN:
                self._authorize(record, event)
            return self._apply(record, event, key, original)
        except Rejected as refusal:
            return self._reject(fleet, subject or fleet, refusal)

    def _apply(self, record: Record, event: FleetEvent, key: str, original: bytes) -> Outcome:
        if isinstance(event, EventAboutAgent):
            return self._agents.apply(event, key, original, record.headers)
        if isinstance(event, EventAboutTask):
            # Whether a task is new, known or ended only the fleet fold can tell.
            self._outbox.fact(event.type, event.fleet, original, record.headers)
            return "applied"
        if isinstance(event, PolicyChanged):
            return self._propose_policy(record, event, original)
        return self._adopt_policy(event)

    def _authorize(self, record: Record, event: FleetEvent) -> None:
        author = self._security.author(record.value, record.headers)
        reason = self._security.refusal(author, event)
        if reason is not None:
            raise Rejected(reason, f"{author or 'nobody known'} may not send {event.type}")

    def _propose_policy(self, record: Record, event: PolicyChanged, original: bytes) -> Outcome:
        """Forward a policy that could come into force; it does so only when the fleet fold echoes it."""
        policy = self._fleets.policy_of(event.fleet)
        if event.version <= policy.version:
            raise Rejected("stale_policy", f"version {event.version} is not above {policy.version}")
        patched(policy, event.policy, event.version)
        self._outbox.fact(event.type, event.fleet, original, record.headers)
        return "applied"

    def _adopt_policy(self, event: PolicyAccepted) -> Outcome:
        current = self._fleets.policy_of(event.fleet)
        if event.version <= current.version:
            return "duplicate"
        policy = patched(DEFAULT_POLICY, event.policy, event.version)
        if policy.windows.size != current.windows.size:
            self._windows.close_all(event.fleet)
        self._fleets.adopt(event.fleet, policy)
        if policy.liveness != current.liveness:
            self._watch.rebuild()
        return "applied"

    def _tick(self) -> Outcome:
        """Let time pass. Anybody can append a tick, so at most one counts per interval of log time.

        The owner's ticks come a little early or late. A quarter of an interval is forgiven, and is paid back:
        what is due moves on by whole intervals, so in the long run ticks never count faster than time passes.
        """
        clock = self._clock
        if clock.log_time < clock.tick_due - _TICK_LEEWAY:
            return "tick"
        clock.tick_due = max(clock.tick_due, clock.log_time) + TICK_INTERVAL
        clock.ticks += 1
        self._watch.tick()
        self._windows.tick(clock.log_time)
        self._alerts.tick(clock.log_time)
        self._forward_time()  # last, for it says that all before it has been forwarded
        return "tick"

    def _forward_time(self) -> None:
        """Tell the fleet log how far this partition has come.

        Ticks do so while the partition is caught up. Behind them, in a backlog, time has to be told as well: the
        fleet fold takes a time that nobody forwards for one in which nobody could append.
        """
        clock = self._clock
        clock.through_due = clock.log_time + TICK_INTERVAL + _TICK_LEEWAY
        self._outbox.through(clock.log_time)

    def _dead_letter(self, record: Record, error: InvalidRecord) -> Outcome:
        self._outbox.dead_letter(record, error)
        # Whose it was cannot be known from a record that is none.
        self._alerts.raise_alert(
            "dead_letter",
            DEFAULT_FLEET,
            f"{self._topic}/{self.partition}",
            error.code,
            error.detail,
            self._fleets.policy_of(DEFAULT_FLEET).alert_throttle,
        )
        return "dead_lettered"

    def _reject(self, fleet: str, subject: str, refusal: Rejected) -> Outcome:
        rejections = self._clock.rejections
        rejections[refusal.reason] = rejections.get(refusal.reason, 0) + 1
        throttle = self._fleets.policy_of(fleet).alert_throttle
        self._alerts.raise_alert("rejected", fleet, subject, refusal.reason, refusal.detail, throttle)
        return "rejected"

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Records read, by outcome; sums to their number."""
        return self._clock.outcomes

    def status(self) -> IngressStatus:
        clock = self._clock
        return IngressStatus(
            partition=self.partition,
            records=clock.records,
            outcomes=dict(clock.outcomes),
            rejections=dict(clock.rejections),
            contradictions=clock.contradictions,
            agents=len(self._tables.agents) - self._watch.deregistered,
            active_agents=self._watch.watched,
            log_time=clock.log_time,
            watermark=min((row.watermark for row in self._tables.fleets.rows.values()), default=0),
            ticks=clock.ticks,
        )

    def validate(self) -> None:
        clock = self._clock
        assert sum(clock.outcomes.values()) == clock.records, "every record has exactly one outcome"
        assert sum(clock.rejections.values()) == clock.outcomes["rejected"]
        for key, row in self._tables.agents.items():
            assert self._placement.partition_of(names_of(key)[1]) == self.partition
            assert row.beat_tick <= clock.ticks
            assert row.beat_time <= clock.log_time
        self._watch.validate()
        self._windows.validate()
