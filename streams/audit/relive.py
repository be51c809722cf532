"""History lived again: the same tasks, agents and troubles, other decisions, and what would have come of them.

What was said in the fleet log is said again at the same times: submissions, cancellations, agents that come, go,
fall silent or report. Plans are left out, and made anew by the planner as the state is now; and so are the answers
to directives, since the directives are others. Agents answer them as they answered the recorded ones
(``streams.audit.habits``): a task takes as long as it took, in proportion to the speeds of who had it and who has
it, and fails in the same attempt.

It is a simulation. What agents would really have done nobody knows; so the recorded policy is lived again, too:
what the two have in common is not the policies' doing, and where living the recorded one again differs from what
was recorded is what the simulation gets wrong.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from typing import Any

import orjson

from models.codec import InvalidRecord, encode
from models.fleet import FleetFold, held
from models.fleet.roster import Agent
from models.fleet.seal import PackedTable
from models.fleet.state import FleetState
from models.fleet_records import LOAD, decode_fleet_record, encode_fact
from models.fold import LogRecord, Output, Record
from models.partition import partition_of
from streams.audit.claims import value_of
from streams.audit.habits import Habits
from streams.audit.history import Progress
from streams.audit.lived import Lived
from streams.audit.moments import Moment
from streams.audit.past import Hear, Log, Past, heard
from streams.audit.snapshots import NO_SNAPSHOTS, Snapshots
from streams.planner import WaterFillPlanner, encode_plan, plannable, snapshot
from streams.planner.coordination import Rounds
from streams.planner.placement import DEFAULT_BUDGET
from streams.reader import Extent


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    """An answer that an agent is about to give."""

    at: int
    number: int
    """Of equal times those come first that were due first."""
    agent_id: str
    directive_id: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Relived:
    """How a fleet fared.

    Attributes:
        recorded: As recorded.
        again: Lived again under the recorded policy.
        other: Lived again under the other policy.
    """

    recorded: Lived
    again: Lived
    other: Lived

    def on_wire(self) -> dict[str, object]:
        return {
            "recorded": self.recorded.on_wire(),
            "again": self.again.on_wire(),
            "other": self.other.on_wire(),
        }


async def relived(
    log: Log,
    first: int,
    until: Moment,
    patch: Mapping[str, object],
    progress: Progress = lambda done, total: None,
    snapshots: Snapshots = NO_SNAPSHOTS,
) -> tuple[Past, Relived]:
    """Live a part of a fleet's history again, from an offset up to a moment. It is read twice: what an agent takes
    for a task is known only when it is done.

    Args:
        patch: What the other policy has otherwise than the recorded one.

    Raises:
        InvalidRecord: if the patch is none.
        ConfigurationError, HistoryIncomplete: see :func:`streams.audit.past.heard`.
    """
    learners: list[_Learner] = []

    def listening(fold: FleetFold) -> Hear:
        learners.append(_Learner(fold, log.fleet, first))
        return learners[-1].hear

    past = await heard(log, until, listening, progress, snapshots, first)
    habits, lived, packed = learners[-1].end()
    folds = [log.new_fold() for _ in range(3)]
    for fold in folds:
        fold.load({name: table.copy() for name, table in packed.items()})
    recorded, ours, others = folds
    worlds = (
        World(ours, log.fleet, habits, first),
        World(others, log.fleet, habits, first, patch),
    )
    extent = Extent(max(first, log.extent.beginning), past.fold.state.clock.offset + 1)
    now, done = recorded.state.clock.log_time, 0
    if extent.end > extent.beginning:
        async with aclosing(log.history.batches("fleet", log.place.partition, extent)) as batches:
            async for records in batches:
                for record in records:
                    value = _said(record)
                    for world in worlds:
                        world.hear(record, value, recorded)
                    recorded.fold([record])
                    now = record.timestamp
                done += len(records)
                progress(done, extent.end - extent.beginning)
    return past, Relived(lived, *(world.end(now) for world in worlds))


class _Learner:
    """Folds what was recorded, keeps what the state was at the beginning, and learns from the rest."""

    def __init__(self, fold: FleetFold, fleet: str, first: int) -> None:
        self._fold = fold
        self._first = first
        self._packed: Mapping[str, PackedTable] | None = None
        self._habits = Habits(fleet)
        self._lived = Lived(fleet)

    def hear(self, records: Sequence[Record]) -> None:
        before = bisect_left(records, self._first, key=attrgetter("offset"))
        self._fold.fold(records[:before])
        for record in records[before:]:
            self._begin()
            outputs = self._fold.fold([record])
            value = _said(record)
            self._habits.learn(record, value, outputs)
            self._lived.count(value, record.timestamp, outputs, self._fold)

    def end(self) -> tuple[Habits, Lived, Mapping[str, PackedTable]]:
        """What was learned, how the fleet fared, and the state before."""
        packed = self._begin()
        self._habits.end(self._fold)
        self._lived.end(self._fold, self._fold.state.clock.log_time)
        return self._habits, self._lived, packed

    def _begin(self) -> Mapping[str, PackedTable]:
        if self._packed is None:
            self._packed = {name: table.copy() for name, table in self._fold.pack().items()}
            self._lived.begin(self._fold)
        return self._packed


class World:
    """One fleet under one policy.

    Args:
        fold: Of the fleet's partition, as of the record before ``first``.
        fleet: Which fleet.
        habits: What agents made of their directives.
        first: Offset of the first record that is lived again. What was told to agents before is answered as it
            was.
        patch: What the policy has otherwise than the recorded one; ``None`` for nothing.

    Attributes:
        lived: How the fleet fared.
    """

    def __init__(
        self,
        fold: FleetFold,
        fleet: str,
        habits: Habits,
        first: int,
        patch: Mapping[str, object] | None = None,
    ) -> None:
        self._fold = fold
        self._fleet = fleet
        self._habits = habits
        self._first = first
        self._patch = patch
        self._rounds = Rounds(WaterFillPlanner(), habits.budget or DEFAULT_BUDGET)
        self._offset = fold.state.clock.offset + 1
        self._sources = _Sources(fold)
        self._due: list[_Due] = []
        self._numbers = count()
        self._plan_at: int | None = None
        self._refused: set[tuple[str, str]] = set()
        """Refusals that were said again: once is enough."""
        self._governed = False
        self._version = -1 if self._known is None else self._known.policy.version
        """Of the recorded policy."""
        self.lived = Lived(fleet)
        self.lived.begin(fold)

    def hear(self, record: Record, value: dict[str, Any], recorded: FleetFold) -> None:
        """Live up to a record, and through it.

        Args:
            value: The object in it.
            recorded: The fold of what was recorded, as of the record before.
        """
        self._pass_to(record.timestamp)
        kind = value.get("type")
        if kind == "clock_ticked":
            self._sources.heard(value.get("partition"), value.get("through"))
            self._fold_one(record.timestamp, record.value, value)
            self._plan_soon(record.timestamp)  # as a worker does: what is due by the mere passing of time
        elif kind == "plan_proposed" or _fleet_of(value) != self._fleet:
            return
        elif kind != "directive_response" or self._was_told_before(value):
            self._say_again(record, value, recorded)
        if not self._governed and self._patch is not None and self._known is not None:
            self._governed = True
            self._govern(record.timestamp)

    def end(self, now: int) -> Lived:
        """Nothing more happens."""
        self._pass_to(now)
        self.lived.end(self._fold, now)
        return self.lived

    # -- what was said

    def _say_again(self, record: Record, value: dict[str, Any], recorded: FleetFold) -> None:
        source = self._sources.again(value)
        if source is None:
            return  # it stands in the log once more
        value = {**value, "source": source}
        if value["type"] == "window_closed":
            value["agents"] = self._loads(value, recorded)
        elif value["type"] == "policy_changed":
            version = (value.get("event") or {}).get("version")
            if not isinstance(version, int) or version <= self._version:
                return
            self._version = version
            if self._patch is not None and self._known is not None:
                value["event"] = {**value["event"], "version": self._known.policy.version + 1}
                self._governed = False  # what the other policy has otherwise holds all the same
        self._fold_one(record.timestamp, orjson.dumps(value), value)

    def _was_told_before(self, value: dict[str, Any]) -> bool:
        """Whether the directive that is answered was given before all this."""
        directive_id = str((value.get("event") or {}).get("directive_id"))
        offset = directive_id.rsplit(".", 2)[-2:-1]
        return bool(offset) and offset[0].isdigit() and int(offset[0]) < self._first

    def _loads(self, value: dict[str, Any], recorded: FleetFold) -> dict[str, Any]:
        """What agents reported of their load, as they would have with what they hold now: what they reported
        beyond what they held then is others' doing, and stays."""
        then, now = recorded.state.fleets.get(self._fleet), self._known
        agents = dict(value.get("agents") or {})
        start, end = value.get("start"), value.get("end")
        if (
            then is None
            or now is None
            or not isinstance(start, int | float)
            or not isinstance(end, int | float)
        ):
            return agents
        span = round(start * 1_000), round(end * 1_000)
        for agent_id, metrics in agents.items():
            load = metrics.get(LOAD)
            was = _held(recorded, then, then.agents.get(agent_id), *span)
            would = _held(self._fold, now, now.agents.get(agent_id), *span)
            if load is None or was is None or would is None:
                continue
            more = would - was
            means = {name: max(0.0, load[name] + more) for name in ("mean", "min", "max", "last")}
            agents[agent_id] = {**metrics, LOAD: {**load, **means, "sum": means["mean"] * load["count"]}}
        return agents

    def _govern(self, now: int) -> None:
        """Put the other policy into force."""
        known = self._known
        assert known is not None
        event = {
            "type": "policy_changed",
            "fleet": self._fleet,
            "version": known.policy.version + 1,
            "policy": self._patch,
        }
        self._append(now, event, partition_of(self._fleet.encode(), self._sources.partitions))

    # -- what happens

    @property
    def _known(self) -> FleetState | None:
        return self._fold.state.fleets.get(self._fleet)

    def _pass_to(self, now: int) -> None:
        """Let happen what is due by then, in order."""
        while True:
            due = self._due[0].at if self._due else now + 1
            if self._plan_at is not None and self._plan_at <= min(due, now):
                at, self._plan_at = self._plan_at, None
                self._plan(at)
            elif due <= now:
                self._answer(heappop(self._due))
            else:
                return

    def _plan_soon(self, now: int) -> None:
        if self._plan_at is None:
            self._plan_at = now + max(1, self._habits.lag.typical)

    def _plan(self, now: int) -> None:
        seen = snapshot(self._fold, self._fleet)
        plan = None if seen is None else self._rounds.propose(seen)
        if plan is not None:
            self._fold_one(now, encode_plan(plan), {"type": "plan_proposed"})

    def _fold_one(self, now: int, raw: bytes | None, value: dict[str, Any]) -> None:
        now = max(now, self._fold.state.clock.log_time)
        outputs = self._fold.fold([LogRecord(self._offset, now, self._fleet.encode(), raw)])
        self._offset += 1
        self.lived.count(value, now, outputs, self._fold)
        self._tell(now, outputs)
        if plannable(self._fold, self._fleet):
            self._plan_soon(now)

    def _append(self, now: int, event: dict[str, object], partition: int) -> None:
        """Say what nobody has said in the recorded history."""
        kind = str(event["type"])
        offset, through = self._sources.new(partition)
        self._fold_one(now, encode_fact(kind, partition, offset, 0, through, encode(event)), {"type": kind})

    # -- what agents do

    def _tell(self, now: int, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if output.topic == "directives":
                directive = value_of(output)
                if directive.get("fleet") == self._fleet:
                    self._receive(now, directive)

    def _receive(self, now: int, directive: dict[str, Any]) -> None:
        agent_id = directive["agent_id"]
        begins = self._habits.heard(agent_id, now + self._habits.reaction(agent_id))
        if begins is None:
            return
        if directive["type"] == "join_coalition":
            self._will(begins, directive, "accepted")
        elif directive["type"] != "assign_task":
            self._will(begins, directive, "completed")
        else:
            self._take_on(begins, directive)

    def _take_on(self, begins: int, directive: dict[str, Any]) -> None:
        habits, agent_id, task_id = self._habits, directive["agent_id"], directive["task_id"]
        refusal = habits.refusals.get((task_id, agent_id))
        if refusal is not None and (task_id, agent_id) not in self._refused:
            self._refused.add((task_id, agent_id))
            return self._will(begins, directive, "rejected", refusal)
        self._will(begins, directive, "accepted")
        failure = habits.failure(task_id, directive["attempt"], agent_id)
        if failure is not None:
            return self._will(begins + failure.took, directive, "failed", failure.reason)
        known = self._known
        assert known is not None
        task = self._fold.state.tables.tasks.rows[known.key(task_id)]
        takes = habits.takes(task_id, agent_id, task.size, task.class_id)
        limit = round(directive["run_timeout"] * 1_000)
        if takes > limit:
            return self._will(begins + limit, directive, "failed", "run_timeout")
        return self._will(begins + takes, directive, "completed")

    def _will(self, at: int, directive: dict[str, Any], outcome: str, reason: str | None = None) -> None:
        agent_id, directive_id = directive["agent_id"], directive["directive_id"]
        heappush(self._due, _Due(at, next(self._numbers), agent_id, directive_id, outcome, reason))

    def _answer(self, due: _Due) -> None:
        """If that is still asked for, and if the agent can be heard; else when it can."""
        if due.directive_id not in self._fold.state.tables.directives.rows:
            return
        known = self._known
        agent = None if known is None else known.agents.get(due.agent_id)
        if agent is None or not agent.registered:
            return
        heard = self._habits.heard(due.agent_id, due.at)
        if heard != due.at:
            if heard is not None:
                heappush(self._due, replace(due, at=heard))
            return
        event: dict[str, object] = {
            "type": "directive_response",
            "fleet": self._fleet,
            "agent_id": due.agent_id,
            "directive_id": due.directive_id,
            "outcome": due.outcome,
        }
        if due.reason is not None:
            event["reason"] = due.reason
        self._append(due.at, event, partition_of(due.agent_id.encode(), self._sources.partitions))


class _Sources:
    """Positions in the events for what is said again and for what nobody has said: new ones, since they have to
    rise.

    Attributes:
        partitions: Of the events.
    """

    def __init__(self, fold: FleetFold) -> None:
        self.partitions = fold.state.events_partitions
        rows = {int(key): row for key, row in fold.state.tables.sources.rows.items()}
        self._heard = {partition: (row.offset, row.index) for partition, row in rows.items()}
        """The last recorded position of each partition;"""
        self._next = {partition: row.offset + 1 for partition, row in rows.items()}
        """the next one of our own;"""
        self._through = {partition: max(0, row.through) for partition, row in rows.items()}
        """and up to when each has been forwarded."""

    def again(self, value: dict[str, Any]) -> dict[str, int] | None:
        """The position of a record that is said again; ``None`` of a repeat, or of one that has none."""
        source = value.get("source")
        if not isinstance(source, dict):
            return None
        partition, offset, index = (source.get(name) for name in ("partition", "offset", "index"))
        if not (isinstance(partition, int) and isinstance(offset, int) and isinstance(index, int)):
            return None
        if (offset, index) <= self._heard.get(partition, (-1, -1)):
            return None
        self._heard[partition] = offset, index
        self.heard(partition, value.get("through"))
        return {"partition": partition, "offset": self._take(partition), "index": 0}

    def new(self, partition: int) -> tuple[int, int]:
        """A position that nobody had, and up to when its partition has been forwarded."""
        return self._take(partition), self._through.get(partition, 0)

    def heard(self, partition: object, through: object) -> None:
        """A partition has been forwarded up to a time."""
        if isinstance(partition, int) and isinstance(through, int | float):
            self._through[partition] = max(self._through.get(partition, 0), round(through * 1_000))

    def _take(self, partition: int) -> int:
        offset = self._next.get(partition, 0)
        self._next[partition] = offset + 1
        return offset


def _said(record: Record) -> dict[str, Any]:
    """The object in a record of the fleet log; an empty one if it is no valid record, which nobody heeds."""
    try:
        decode_fleet_record(record.value)
    except InvalidRecord:
        return {}
    return value_of(record)


def _fleet_of(value: dict[str, Any]) -> object:
    event = value.get("event")
    return event.get("fleet", "default") if isinstance(event, dict) else value.get("fleet")


def _held(fold: FleetFold, fleet: FleetState, agent: Agent | None, start: int, end: int) -> float | None:
    """The share of its slots that the agent held in a window, on average."""
    if agent is None or not agent.shape.slots:
        return None
    fold.state.count_held(fleet, agent)
    mean = held.mean(agent.row, start, end)
    return None if mean is None else mean / agent.shape.slots
