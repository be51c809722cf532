"""A coordinator in memory whose topics can be altered: what it read and wrote, as a history."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import orjson

from models.fleet import FleetFold
from models.fleet_records import CoordinationPlan
from models.fold import LogRecord, Output, Record
from models.ingress import IngressFold
from models.partition import partition_of
from streams.audit.history import ends_of
from streams.planner import FleetSnapshot, WaterFillPlanner, encode_plan, snapshot
from streams.reader import Extent

START = 1_763_800_000_000
EVENTS, FLEETS = 2, 2
PARTITIONS = {"events": EVENTS, "fleet": FLEETS, "directives": 2, "results": 1, "reports": 1, "alerts": 1}
BUDGET = 1_000_000


class Recorded:
    """Records by topic and partition; implements ``streams.audit.history.History``."""

    prefix = "coordinator."

    def __init__(self) -> None:
        self.topics: dict[tuple[str, int], list[LogRecord]] = {
            (topic, number): []
            for topic, count in {**PARTITIONS, "dead-letters": 1}.items()
            for number in range(count)
        }
        self.beginnings: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        """Where that is not behind the last record."""

    async def cluster_id(self) -> str | None:
        return "memory"

    async def extents(self, topic: str) -> dict[int, Extent]:
        found = {}
        for (name, partition), records in self.topics.items():
            if name == topic:
                end = self.ends.get((name, partition), records[-1].offset + 1 if records else 0)
                found[partition] = Extent(self.beginnings.get((name, partition), 0), end)
        return found

    async def settled(self) -> dict[int, int]:
        return ends_of(await self.extents("fleet"))

    async def offset_at(self, topic: str, partition: int, time: int) -> int | None:
        late = (record.offset for record in self.topics[topic, partition] if record.timestamp >= time)
        return next(late, None)

    async def batches(
        self, topic: str, partition: int, extent: Extent
    ) -> AsyncGenerator[Sequence[Record], None]:
        records = [r for r in self.topics[topic, partition] if extent.beginning <= r.offset < extent.end]
        for start in range(0, len(records), 7):
            yield records[start : start + 7]

    # -- altering what is there

    def find(self, topic: str, wanted: Callable[[LogRecord], bool]) -> tuple[int, int]:
        """Partition and place in it of the first such record."""
        for (name, partition), records in self.topics.items():
            for place, record in enumerate(records):
                if name == topic and wanted(record):
                    return partition, place
        raise LookupError(topic)

    def alter(self, topic: str, where: tuple[int, int], old: bytes, new: bytes) -> LogRecord:
        partition, place = where
        record = self.topics[topic, partition][place]
        assert old in (record.value or b"")
        changed = replace(record, value=(record.value or b"").replace(old, new, 1))
        self.topics[topic, partition][place] = changed
        return changed

    def drop(self, topic: str, where: tuple[int, int]) -> LogRecord:
        """The record goes; as after compaction, offsets stay."""
        return self.topics[topic, where[0]].pop(where[1])

    def insert(self, topic: str, partition: int, place: int, value: bytes, key: bytes | None = b"a1") -> int:
        """One more record, before that place; those behind it move. Its offset."""
        records = self.topics[topic, partition]
        before = records[place - 1]
        records[place:] = [replace(record, offset=record.offset + 1) for record in records[place:]]
        records.insert(place, LogRecord(before.offset + 1, before.timestamp, key, value))
        return before.offset + 1


def of_fleet_log(records: Sequence[LogRecord]) -> Recorded:
    """A history with one partition of each topic, of which only the fleet log is known."""
    recorded = Recorded()
    for topic, partition in list(recorded.topics):
        if partition:
            del recorded.topics[topic, partition]
    recorded.topics["fleet", 0] = list(records)
    return recorded


class Coordinator:
    """Both folds and the planner over a :class:`Recorded`."""

    def __init__(self) -> None:
        self.recorded = Recorded()
        counts = {"events": EVENTS, "fleet": FLEETS}
        self._ingress = [IngressFold(number, counts) for number in range(EVENTS)]
        self._fleet = [FleetFold(number, EVENTS) for number in range(FLEETS)]
        self.now = START

    def say(self, **event: object) -> None:
        subject = event.get("task_id") or event.get("agent_id") or event.get("fleet") or "default"
        key = str(subject).encode()
        self._append("events", partition_of(key, EVENTS), key, orjson.dumps(event))

    def misplaced(self, value: bytes, partition: int = 0) -> None:
        self._append("events", partition, None, value)

    def tick(self) -> None:
        self.now += 1_000
        for number in range(EVENTS):
            self._append("events", number, None, b'{"type":"clock_ticked"}')

    def plan(self) -> None:
        for number, fold in enumerate(self._fleet):
            for name in fold.fleets():
                seen = snapshot(fold, name)
                assert seen is not None
                plan = self.propose(seen)
                if plan is not None:
                    self._append("fleet", number, name.encode(), encode_plan(plan))

    def propose(self, seen: FleetSnapshot) -> CoordinationPlan | None:
        return WaterFillPlanner().plan(seen, seen.policy, BUDGET)

    def _append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: object = ()
    ) -> None:
        records = self.recorded.topics[topic, partition]
        record = LogRecord(len(records), self.now, key, value, headers)  # type: ignore[arg-type]
        records.append(record)
        if topic == "events":
            self._put_out(self._ingress[partition].fold([record]))
        elif topic == "fleet":
            self._put_out(self._fleet[partition].fold([record]))

    def _put_out(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            count = PARTITIONS.get(output.topic, 1)
            partition = (
                partition_of(output.key or b"", count) if output.partition is None else output.partition
            )
            self._append(output.topic, partition, output.key, output.value, output.headers)


def lived(seed: int = 1, seconds: int = 40) -> Recorded:
    """A life of two fleets: agents that answer, beat and fall silent, tasks, refusals, broken records."""
    chance = random.Random(seed)
    coordinator = Coordinator()
    answered: dict[int, int] = {}
    silent: set[str] = set()
    for fleet in ("default", "north"):
        for number in range(4):
            coordinator.say(type="agent_registered", fleet=fleet, agent_id=f"a{number}", slots=2)
    for second in range(seconds):
        coordinator.tick()
        for fleet in ("default", "north"):
            for number in range(4):
                if f"{fleet}a{number}" not in silent:
                    load = chance.random()
                    coordinator.say(
                        type="status_update",
                        fleet=fleet,
                        agent_id=f"a{number}",
                        status="active",
                        current_load=load,
                    )
            if chance.random() < 0.8:
                coordinator.say(
                    type="task_submitted",
                    fleet=fleet,
                    task_id=f"{fleet}-{second}",
                    payload=second,
                    size=1 + second % 3,
                )
        if second == 5:
            coordinator.misplaced(b"no JSON")
            coordinator.misplaced(b'{"type":"task_submitted","task_id":"stray"}', 0)
            coordinator.misplaced(b'{"type":"task_submitted","task_id":"stray2"}', 1)
            coordinator.say(type="task_cancelled", task_id="nobody")
        if second == 10:
            silent.add("northa3")
        coordinator.plan()
        for partition in range(2):
            directives = coordinator.recorded.topics["directives", partition]
            for record in directives[answered.get(partition, 0) :]:
                directive = orjson.loads(record.value or b"")
                for outcome in ("accepted", chance.choice(["completed", "completed", "failed"])):
                    coordinator.say(
                        type="directive_response",
                        fleet=directive["fleet"],
                        agent_id=directive["agent_id"],
                        directive_id=directive["directive_id"],
                        outcome=outcome,
                    )
            answered[partition] = len(directives)
    return coordinator.recorded
