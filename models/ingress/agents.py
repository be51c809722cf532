"""What an event does to its agent: order, beats, registration, and which changes the fleet log must know.

Nothing here decides about tasks. A heartbeat that changes nothing ends here, in the agent's row.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.events import (
    DEFAULT_HEARTBEAT_INTERVAL,
    AgentDeregistered,
    AgentEvent,
    AgentRegistered,
    MetricReport,
    ResourceReport,
    StatusUpdate,
)
from models.fleet_records import LOAD
from models.fold import Headers
from models.ingress.fleets import Fleets
from models.ingress.liveness import Watch, beat, silence_of
from models.ingress.outbox import Outbox
from models.ingress.rows import AgentRow, Outcome, Tables
from models.ingress.windows import MAX_METRICS, USED, Observed, Windows

MAX_JUMP = 1 << 32
"""A counter this far beyond the last one is damage or malice: believed, it would shut the agent out for good."""

_OPERATOR_TYPES = frozenset({"agent_cordoned", "agent_uncordoned", "agent_drained"})


class Rejected(Exception):
    """A valid record that state refuses.

    Attributes:
        reason: Stable, for machines, such as ``unknown_agent``.
        detail: One line for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Agents:
    def __init__(
        self, tables: Tables, fleets: Fleets, windows: Windows, watch: Watch, outbox: Outbox
    ) -> None:
        self._table = tables.agents
        self._clock = tables.clock
        self._fleets = fleets
        self._windows = windows
        self._watch = watch
        self._outbox = outbox

    def apply(self, event: AgentEvent, key: str, original: bytes, headers: Headers) -> Outcome:
        """Apply an event to its agent, whose key is ``fleet/agent_id``.

        Raises:
            Rejected: if the agent's state forbids it.
        """
        row = self._table.get(key)
        if event.type in _OPERATOR_TYPES:
            return self._operate(event, row, original, headers)
        known = row is not None
        if row is None:
            row = self._stranger(event)
        if (event.seq is not None or event.incarnation is not None) and self._is_repeat(event, row):
            return "duplicate"
        if row.state == "deregistered":
            if not isinstance(event, AgentRegistered):
                raise Rejected("deregistered", "the agent has deregistered; only agent_registered revives it")
            known = False
        if known:
            self._table.dirty[key] = None
            self._beat(event, key, row)
        else:
            self._enter(key, row)
        self._number(event, row)

        if isinstance(event, StatusUpdate):
            return self._status(event, key, row, original, headers)
        if isinstance(event, MetricReport):
            return self._metrics(event, key, row, original, headers, known)
        if isinstance(event, ResourceReport):
            return self._resources(event, key, row, original, headers)
        if isinstance(event, AgentRegistered):
            self._register(event, key, row)
        elif isinstance(event, AgentDeregistered):
            row.state = "deregistered"
            self._watch.deregistered += 1
            self._watch.follow(key, row)
        self._outbox.fact(event.type, event.fleet, original, headers)
        return "applied"

    def _status(
        self, event: StatusUpdate, key: str, row: AgentRow, original: bytes, headers: Headers
    ) -> Outcome:
        if (
            event.status != row.status
            or (event.capabilities is not None and event.capabilities != row.capabilities)
            or (event.slots is not None and event.slots != row.slots)
        ):
            row.status = event.status
            row.capabilities = event.capabilities if event.capabilities is not None else row.capabilities
            row.slots = event.slots if event.slots is not None else row.slots
            self._outbox.fact(event.type, event.fleet, original, headers)
            self._watch.follow(key, row)
        if event.current_load is not None:
            # Whatever becomes of the sample (a window counts what comes too late for it), the event is applied.
            samples = {LOAD: event.current_load}
            self._observe(event, key, row, samples)
        return "applied"

    def _metrics(
        self,
        event: MetricReport,
        key: str,
        row: AgentRow,
        original: bytes,
        headers: Headers,
        known: bool,
    ) -> Outcome:
        if not known:
            # The fleet log has to learn of the agent, and this event is all that there is of it.
            self._outbox.fact(event.type, event.fleet, original, headers)
        observed = self._observe(event, key, row, event.metrics)
        if observed == "full":
            raise Rejected("too_many_metrics", f"an agent may name {MAX_METRICS} metrics in one window")
        return "late" if observed == "late" and known else "applied"

    def _observe(self, event: AgentEvent, key: str, row: AgentRow, samples: Mapping[str, float]) -> Observed:
        log_time = self._outbox.log_time
        time = log_time if event.time is None else event.time
        return self._windows.observe(key, row, self._fleets.get(event.fleet), time, log_time, samples)

    def _resources(
        self, event: ResourceReport, key: str, row: AgentRow, original: bytes, headers: Headers
    ) -> Outcome:
        """Capacities decide what an agent can hold; what is in use moves all the time, and goes into windows."""
        capacities = {name: resource.capacity for name, resource in event.resources.items()}
        known = row.resources or {}
        if row.resources is None or any(known.get(name) != amount for name, amount in capacities.items()):
            row.resources = {**known, **capacities}  # what a report leaves out has not changed
            self._outbox.fact(event.type, event.fleet, original, headers)
        used = {name + USED: resource.used for name, resource in event.resources.items()}
        self._observe(event, key, row, used)
        return "applied"

    def _operate(self, event: AgentEvent, row: AgentRow | None, original: bytes, headers: Headers) -> Outcome:
        """An operator's word about an agent: no beat of it, and its numbers are not the agent's."""
        if row is None:
            raise Rejected("unknown_agent", "no event of this agent has been seen; check fleet and agent_id")
        if row.state == "deregistered":
            raise Rejected("deregistered", "the agent has deregistered; there is nobody to cordon or drain")
        self._outbox.fact(event.type, event.fleet, original, headers)
        return "applied"

    def _stranger(self, event: AgentEvent) -> AgentRow:
        """A row for an agent that nobody knows yet; not in the table before the event has been accepted."""
        if isinstance(event, AgentDeregistered):
            raise Rejected("unknown_agent", "no event of this agent has been seen, so it cannot deregister")
        if not isinstance(event, AgentRegistered):
            policy = self._fleets.policy_of(event.fleet)
            if not policy.register_unknown_agents:
                raise Rejected("unknown_agent", "the fleet's policy wants agent_registered first")
        return AgentRow()

    def _is_repeat(self, event: AgentEvent, row: AgentRow) -> bool:
        incarnation = row.incarnation if event.incarnation is None else event.incarnation
        if incarnation < row.incarnation:
            if event.seq is None:
                raise Rejected("stale_incarnation", f"incarnation {row.incarnation} of the agent has started")
            return True
        if incarnation - row.incarnation > MAX_JUMP:
            raise Rejected(
                "incarnation_jump", f"incarnation {incarnation} is beyond {row.incarnation} + 2^32"
            )
        if event.seq is None:
            return False
        last = row.seq if incarnation == row.incarnation else -1
        if event.seq - max(last, 0) > MAX_JUMP:
            raise Rejected("seq_jump", f"seq {event.seq} is beyond {max(last, 0)} + 2^32")
        return event.seq <= last

    def _number(self, event: AgentEvent, row: AgentRow) -> None:
        """Remember the numbers of an accepted event; a new incarnation counts its events afresh."""
        if event.incarnation is not None and event.incarnation > row.incarnation:
            row.incarnation = event.incarnation
            row.seq = -1
        if event.seq is not None:
            row.seq = event.seq

    def _enter(self, key: str, row: AgentRow) -> None:
        """An agent appears, for the first time or again after it deregistered."""
        if row.state == "deregistered":
            self._watch.deregistered -= 1
        row.state = "alive"
        row.status = ""
        row.capabilities = row.slots = row.resources = None
        row.beat_time = self._outbox.log_time
        row.beat_tick = self._clock.rows[""].ticks
        _forget_rhythm(row, DEFAULT_HEARTBEAT_INTERVAL)
        self._table.put(key, row)
        self._watch.follow(key, row)

    def _beat(self, event: AgentEvent, key: str, row: AgentRow) -> None:
        clock = self._clock.rows[""]
        silence = silence_of(row, clock) if row.state != "alive" else 0
        beat(row, clock.log_time, clock.ticks, self._fleets.get(event.fleet).memory)
        if row.state != "alive":
            row.state = "alive"
            self._outbox.liveness("agent_recovered", event.fleet, event.agent_id, silence)
            self._watch.follow(key, row)

    def _register(self, event: AgentRegistered, key: str, row: AgentRow) -> None:
        row.status = ""
        row.capabilities = event.capabilities
        row.slots = event.slots
        row.resources = None
        if event.heartbeat_interval != row.heartbeat_interval:
            _forget_rhythm(row, event.heartbeat_interval)
        self._watch.follow(key, row)


def _forget_rhythm(row: AgentRow, interval: int) -> None:
    row.heartbeat_interval = interval
    row.beats = 0
    row.gap_mean = float(interval)
    row.gap_variance = (interval / 4) ** 2
