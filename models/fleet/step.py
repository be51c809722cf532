"""One record's passage through the fold: when it happens, what caused it, and what goes out because of it."""

from __future__ import annotations

from collections.abc import Mapping

from models.fields import LAST_MILLISECOND
from models.fleet import floods
from models.fleet.rows import AlertRow, Outcome
from models.fleet.seal import FOLD_VERSION
from models.fleet.state import FleetState, State
from models.fold import Output, Record
from models.outputs import Alert, Cause

NO_CAUSE = Cause(offset=-1)


class Step:
    """The context in which the functions of this package decide. One per batch, moved on by :meth:`begin`.

    Attributes:
        now: Issue time: the append time of the record, made monotone. All output carries it.
        offset: The record's offset in the fleet log.
    """

    __slots__ = ("_alerts", "_coalitions", "_directives", "cause", "now", "offset", "outputs", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.outputs: list[Output] = []
        self.now = state.clock.log_time
        self.offset = -1
        self.cause = NO_CAUSE
        self._directives = 0
        self._coalitions = 0
        self._alerts = 0

    def begin(self, record: Record) -> None:
        clock = self.state.clock
        # Nothing but a broken broker sends a time beyond the calendar, yet a fold must survive that, too.
        self.now = max(clock.log_time, min(record.timestamp, LAST_MILLISECOND))
        self.offset = record.offset
        self.cause = Cause(offset=record.offset)
        self._directives = 0
        self._coalitions = 0
        self._alerts = 0
        clock.log_time = self.now
        clock.offset = record.offset
        clock.records += 1
        if clock.resumed < 0:
            clock.resumed = self.now

    def finish(self, outcome: Outcome) -> None:
        self.state.clock.outcomes[outcome] += 1

    def caused_by(self, partition: int, offset: int) -> None:
        """The record stems from this event."""
        self.cause = Cause(offset=self.offset, events=((partition, offset),))

    def provenance(self, fleet: FleetState) -> Mapping[str, object]:
        """Out of what an output was made, beside its cause: see ``models.fleet.seal``."""
        return {
            "fold": FOLD_VERSION,
            "planner": fleet.row.planner,
            "policy": fleet.policy_digest,
            "state": self.state.sealed,
        }

    def next_directive(self, fleet: FleetState) -> tuple[str, int]:
        """The id of the next directive that this record causes, and its index."""
        index = self._directives
        self._directives += 1
        return f"{fleet.name}.{self.offset}.{index}", index

    def next_coalition(self, fleet: FleetState) -> str:
        """The id of the next coalition that this record brings about."""
        index = self._coalitions
        self._coalitions += 1
        return f"{fleet.name}.{self.offset}.c{index}"

    def put_out(self, kind: str, output: Output) -> None:
        operations = self.state.clock.operations
        operations[kind] = operations.get(kind, 0) + 1
        self.outputs.append(output)

    def alert(
        self, fleet: str, kind: str, subject: str, reason: str, details: Mapping[str, object] | None = None
    ) -> None:
        """Raise an alert, unless there were too many of its kind lately."""
        known = self.state.fleets.get(fleet)
        if known is None or floods.may_tell(self, known, kind):
            self._alert(fleet, kind, subject, reason, details)

    def _alert(
        self, fleet: str, kind: str, subject: str, reason: str, details: Mapping[str, object] | None
    ) -> None:
        alert = Alert(
            type=kind,
            fleet=fleet,
            subject=subject,
            reason=reason,
            time=self.now,
            cause=self.cause,
            details=dict(details or {}),
        )
        identity = f"{fleet}.{self.offset}.alert-{self._alerts}"
        self._alerts += 1
        self.put_out(kind, alert.output(identity))

    def reject(
        self, fleet: FleetState, reason: str, subject: str, details: Mapping[str, object] | None = None
    ) -> Outcome:
        """The record is valid but the state refuses it: count it, and tell people, though not every time."""
        rejections = self.state.clock.rejections
        rejections[reason] = rejections.get(reason, 0) + 1
        self.alert_seldom(fleet, "rejected", subject, reason, details)
        return "rejected"

    def alert_seldom(
        self,
        fleet: FleetState,
        kind: str,
        subject: str,
        reason: str,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Raise an alert, unless the same one was raised within the policy's ``alert_throttle``."""
        key = f"{fleet.name}/{kind}/{reason}/{subject}"
        table = self.state.tables.alerts
        last = table.get(key)
        if last is not None and self.now < last.until:
            return
        if not floods.may_tell(self, fleet, kind):
            return
        until = self.now + fleet.policy.alert_throttle
        table.put(key, AlertRow(until))
        self.state.timers.moment(until, "alert", key)
        self._alert(fleet.name, kind, subject, reason, details)
