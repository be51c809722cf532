"""The fleet fold: one record of the fleet log in, state changed, directives and other outputs out.

Here: decoding, accounting, dropping repeats, and which function is asked. What each record means stands in the
modules of this package: ``agents``, ``tasks``, ``answers``, ``plans``, ``overdue``, ``windows``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.codec import InvalidRecord
from models.dead_letters import MAX_ERROR_LENGTH, dead_letter
from models.events import (
    AgentCordoned,
    AgentDeregistered,
    AgentDrained,
    AgentRegistered,
    AgentUncordoned,
    DirectiveResponse,
    PolicyChanged,
    ResourceReport,
    StatusUpdate,
    TaskCancelled,
    TaskSubmitted,
)
from models.fleet import agents, answers, cancellation, invariants, overdue, plans, policies, tasks, windows
from models.fleet.rows import Outcome
from models.fleet.seal import PackedTable
from models.fleet.state import State
from models.fleet.step import Step
from models.fleet_records import (
    AgentLost,
    AgentRecovered,
    AgentSuspected,
    CoordinationPlan,
    Fact,
    FactEvent,
    FleetRecord,
    Source,
    ThroughTicked,
    WindowClosed,
    decode_fleet_record,
)
from models.fold import Output, Record, Table

FLEET_TOPIC = "coordinator.fleet"


class FleetFold:
    """All fleets of one partition of the fleet log. See :class:`models.fold.Fold` for how it is driven.

    Args:
        partition: The partition of the fleet log.
        events_partitions: How many partitions the events topic has: fleet time is the minimum over all.
        topic: Full name of the fleet topic, for the origin of dead letters.
    """

    def __init__(self, partition: int, events_partitions: int, topic: str = FLEET_TOPIC) -> None:
        self.partition = partition
        self.topic = topic
        self.state = State(events_partitions)
        self.on_seal: Callable[[FleetFold], object] = _ignore
        """Is told of each seal, right after it."""

    @property
    def tables(self) -> Mapping[str, Table[Any]]:
        return self.state.tables.by_name()

    def restored(self) -> None:
        for table in self.state.tables.summed():
            table.unsum()
        self.state.restored()

    def pack(self) -> dict[str, PackedTable]:
        """All rows, encoded, by table."""
        tables = self.state.tables
        clock = PackedTable({"": tables.clock.encode(self.state.clock)}, [], b"")
        return {"clock": clock, **{table.name: table.pack() for table in tables.summed()}}

    def load(self, packed: Mapping[str, PackedTable]) -> None:
        """Become, from the empty state, the fold that packed these.

        Raises:
            msgspec.ValidationError, msgspec.DecodeError, LookupError: if they are none of such a fold.
        """
        tables = self.state.tables
        tables.clock.put("", tables.clock.decode(packed["clock"].rows[""]))
        for table in tables.summed():
            table.load(packed[table.name])
        self.state.restored()

    def fold(self, records: Sequence[Record]) -> list[Output]:
        state = self.state
        step = Step(state)
        for record in records:
            step.begin(record)
            try:
                fleet_record = decode_fleet_record(record.value)
                self._check_source(fleet_record)
            except InvalidRecord as error:
                self._dead_letter(step, record, error)
                step.finish("dead_lettered")
                continue
            step.finish(_apply(step, fleet_record))
            if state.seal_if_due():
                self.on_seal(self)
        if records:
            state.tables.clock.put("", state.clock)
        return step.outputs

    def fleets(self) -> list[str]:
        """The fleets of this partition, by name."""
        return sorted(self.state.fleets)

    def validate(self) -> None:
        invariants.check(self.state)

    def _check_source(self, record: FleetRecord) -> None:
        if isinstance(record, CoordinationPlan):
            return
        partition = record.partition if isinstance(record, ThroughTicked) else record.source.partition
        if partition >= self.state.events_partitions:
            raise InvalidRecord(
                "schema",
                f"source partition {partition} of an events topic with {self.state.events_partitions} partitions",
            )

    def _dead_letter(self, step: Step, record: Record, error: InvalidRecord) -> None:
        """Keep a damaged record as it came. Only the coordinator writes this topic, so people should know."""
        origin = f"{self.topic}/{self.partition}/{record.offset}"
        step.put_out("dead_letter", dead_letter(record, origin, error))
        step.alert("default", "dead_letter", origin, error.code, {"detail": error.detail[:MAX_ERROR_LENGTH]})


def _ignore(fold: FleetFold) -> None:
    """Whom seals do not concern."""


def _apply(step: Step, record: FleetRecord) -> Outcome:
    """Dispatch one record; then do what it made overdue.

    What a record says comes first: an answer that stands in the very record by which fleet time passes its
    directive's ``ack_by`` was in the log before anybody gave the directive up.
    """
    outcome: Outcome = "applied"
    if isinstance(record, Fact):
        if _is_repeat(step, record.source):
            return "duplicate"
        outcome = _apply_fact(step, record.event)
        overdue.hear(step, record.source.partition, record.through)
    elif isinstance(record, ThroughTicked):
        outcome = "tick"
        overdue.hear(step, record.partition, record.through)
    elif isinstance(record, CoordinationPlan):
        plans.apply(step, step.state.fleet(record.fleet), record)
    else:
        if _is_repeat(step, record.source):
            return "duplicate"
        outcome = _apply_observation(step, record)
    overdue.run(step)
    return outcome


def _is_repeat(step: Step, source: Source) -> bool:
    """Whether this source position has been seen; if not, remember it.

    Ingress folds are deterministic, and what a restarted or paused one sends again comes in the same order.
    So one position for each partition tells every repeat, and each record has its effect exactly once.
    """
    row = step.state.source(source.partition)
    if (source.offset, source.index) <= (row.offset, row.index):
        return True
    row.offset = source.offset
    row.index = source.index
    step.state.tables.sources.touch(str(source.partition))
    step.caused_by(source.partition, source.offset)
    return False


def _apply_fact(step: Step, event: FactEvent) -> Outcome:
    fleet = step.state.fleet(event.fleet)
    if isinstance(event, TaskSubmitted):
        return tasks.submit(step, fleet, event)
    if isinstance(event, TaskCancelled):
        return cancellation.cancel(step, fleet, event)
    if isinstance(event, AgentRegistered):
        return agents.register(step, fleet, event)
    if isinstance(event, AgentDeregistered):
        return agents.deregister(step, fleet, event)
    if isinstance(event, AgentCordoned | AgentUncordoned | AgentDrained):
        return agents.operate(step, fleet, event)
    if isinstance(event, PolicyChanged):
        return policies.change(step, fleet, event)
    agent = agents.admit(step, fleet, event)
    if isinstance(agent, str):
        return agent
    if isinstance(event, DirectiveResponse):
        return answers.respond(step, fleet, event)
    if isinstance(event, StatusUpdate):
        return agents.update_status(step, fleet, agent, event)
    if isinstance(event, ResourceReport):
        return agents.update_resources(step, fleet, agent, event)
    return agents.note_metrics(step, fleet, agent, event)


def _apply_observation(
    step: Step, record: WindowClosed | AgentSuspected | AgentLost | AgentRecovered
) -> Outcome:
    fleet = step.state.fleet(record.fleet)
    if isinstance(record, WindowClosed):
        windows.hear(step, fleet, record)
        return "applied"
    return agents.hear_liveness(step, fleet, record)
