"""Verifying a history: does everything that the coordinator wrote follow from what it read?

Three checks, in one pass over the topics:

* *facts*: each record of the fleet log, but for plans, is what the ingress fold puts out for the events;
* *outputs*: each directive, result, report, alert and dead letter is what the folds put out, byte for byte;
* *plans*: each plan is what the planner proposes to the state that the plan says it was based on.

Everything is read once and in order, and compared as it comes, so memory holds the states and what is on its way.
Whoever verifies has the folds and the planner, and the topics; nothing is taken from a worker or from its tables.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from models.cut import Cut, Place
from models.fleet import FleetFold
from models.fleet_records import CoordinationPlan
from models.fold import Output, Record
from models.ingress import IngressFold
from models.partition import partition_of
from streams.audit import claims, plans
from streams.audit.claims import Claim, Source
from streams.audit.findings import Finding, Report, Verdict
from streams.audit.history import OUTPUTS, Feed, History, extents_of
from streams.audit.lanes import Lane, digest_of
from streams.reader import Extent

FACTS, SENT = "facts", "outputs"
LOOKAHEAD = 20_000
"""Records of the fleet log that are read before one is folded: a plan stands so far behind its base, at most."""

Progress = Callable[[int, int], None]


class _Ingress:
    """One partition of the events, folded as far as somebody refers to it."""

    def __init__(self, feed: Feed, fold: IngressFold, put_out: Callable[[Output], None]) -> None:
        self.feed = feed
        self.fold = fold
        self.position = feed.extent.beginning
        self._put_out = put_out

    async def advance(self) -> bool:
        """Fold what is at hand; whether there was anything."""
        batch = await self.feed.batch()
        if not batch:
            self.position = self.feed.extent.end  # at which no record need stand: a transaction may end there
            return False
        for output in self.fold.fold(batch):
            self._put_out(output)
        self.position = batch[-1].offset + 1
        return True

    async def reach(self, offset: int) -> None:
        while self.position <= offset and await self.advance():
            pass


class _Fleet:
    """One partition of the fleet log."""

    def __init__(self, feed: Feed, fold: FleetFold, place: Place, report: Report) -> None:
        self.feed = feed
        self.fold = fold
        self.position = feed.extent.beginning
        self._place = place
        self._report = report
        self._ahead: deque[Sequence[Record]] = deque()
        self._read = 0
        """Records that are ahead."""
        self._plans: dict[int, list[tuple[Record, CoordinationPlan]]] = {}
        """By the offset that they are based on, until that is folded."""
        self._held: set[int] = set()
        """Offsets at which plans stand, of what is ahead."""

    async def batch(self) -> Sequence[Record]:
        """The next records to be folded, when enough of those behind them were looked through for plans."""
        while self._read < LOOKAHEAD or not self._ahead:
            batch = await self.feed.batch()
            if not batch:
                break
            self._ahead.append(batch)
            self._read += len(batch)
            for record in batch:
                plan = plans.plan_in(record)
                if plan is not None:
                    self._held.add(record.offset)
                    self._note(record, plan)
        if not self._ahead:
            return ()
        batch = self._ahead.popleft()
        self._read -= len(batch)
        return batch

    async def head(self) -> Record | None:
        """The next record to be folded; ``None`` at the end."""
        return self._ahead[0][0] if self._ahead else await self.feed.peek()

    def is_plan(self, record: Record) -> bool:
        """Whether a record of the last :meth:`batch` is a plan; asked once of each."""
        if record.offset in self._held:
            self._held.discard(record.offset)
            return True
        return False

    def _note(self, record: Record, plan: CoordinationPlan) -> None:
        base = plan.based_on
        if self.position <= base + 1 and base < record.offset:
            self._plans.setdefault(base, []).append((record, plan))
            return
        if base < record.offset:
            self._find(Verdict.UNVERIFIABLE, record, "based_long_ago", plan, base)
        else:
            self._find(Verdict.DIVERGENT, record, "based_on_the_future", plan, base)

    def folded(self, batch: Sequence[Record]) -> list[Output]:
        """Fold the batch, and stop wherever a plan was made."""
        self._judge(self.position - 1)
        outputs: list[Output] = []
        start = 0
        for number, record in enumerate(batch):
            if record.offset in self._plans:
                outputs += self._fold(batch[start : number + 1])
                start = number + 1
                self._judge(record.offset)
        return outputs + self._fold(batch[start:])

    def _fold(self, batch: Sequence[Record]) -> list[Output]:
        if not batch:
            return []
        self.position = batch[-1].offset + 1
        return self.fold.fold(batch)

    def _judge(self, base: int) -> None:
        for record, plan in self._plans.pop(base, ()):
            plans.judge(self.fold, self._place, record, plan, self._report)

    def end(self) -> None:
        """Plans whose base is no record of this log."""
        for base, waiting in self._plans.items():
            for record, plan in waiting:
                self._find(Verdict.DIVERGENT, record, "no_such_base", plan, base)

    def _find(self, verdict: Verdict, record: Record, reason: str, plan: CoordinationPlan, base: int) -> None:
        details = {"based_on": base}
        self._report.add(
            Finding(verdict, plans.CHECK, self._place, record.offset, reason, plan.plan_id, details)
        )


class Verification:
    """One pass over a history.

    Args:
        history: Where the records come from.
        progress: Is told how many records of events and fleet log are done, of how many.
    """

    def __init__(self, history: History, progress: Progress = lambda done, total: None) -> None:
        self._history = history
        self._progress = progress
        self.report = Report()
        self._lanes: dict[Place, dict[Source, Lane]] = {}
        self._ingress: dict[int, _Ingress] = {}
        self._fleet: dict[int, _Fleet] = {}
        self._outputs: dict[Place, Feed] = {}
        self._partitions: dict[str, int] = {}
        self._begins_late: set[Place] = set()

    async def run(self) -> Report:
        """Verify all that the history holds now."""
        await self._open()
        try:
            while fleet := await self._next_fleet():
                batch = await fleet.batch()
                for record in batch:
                    if not fleet.is_plan(record):
                        await self._check_fact(fleet.feed.partition, record)
                source: Source = ("fleet", fleet.feed.partition)
                for output in fleet.folded(batch):
                    self._expect(source, output)
                await self._drain()
                self._tell()
            await self._finish()
        finally:
            for feed in self._feeds():
                await feed.close()
        return self.report

    @property
    def states(self) -> dict[str, str]:
        """The digest of the state of each partition of the fleet log, as far as it is folded."""
        return {
            str(self._place("fleet", partition)): fleet.fold.state.digest().hex()
            for partition, fleet in self._fleet.items()
        }

    # -- what there is

    async def _open(self) -> None:
        history = self._history
        extents = await extents_of(history)
        fleet = extents["fleet"]
        self._partitions = {topic: len(found) for topic, found in extents.items()}
        counts = {"events": len(extents["events"]), "fleet": len(fleet)}
        for topic, found in extents.items():
            for partition, extent in found.items():
                if extent.beginning > 0:
                    self._begins_late.add(self._place(topic, partition))
        for topic in OUTPUTS:
            for partition, extent in extents[topic].items():
                self._outputs[self._place(topic, partition)] = Feed(history, topic, partition, extent)
        for partition, extent in extents["events"].items():
            ingress = IngressFold(partition, counts, topic=self._place("events", partition).topic)
            self._ingress[partition] = _Ingress(
                Feed(history, "events", partition, extent),
                ingress,
                partial(self._expect, ("events", partition)),
            )
        for partition, extent in fleet.items():
            place = self._place("fleet", partition)
            fold = FleetFold(partition, counts["events"], place.topic)
            self._fleet[partition] = _Fleet(
                Feed(history, "fleet", partition, extent), fold, place, self.report
            )
        self._total = sum(
            extent.end - extent.beginning for found in (extents["events"], fleet) for extent in found.values()
        )
        self.report.cut = Cut.of(
            await history.cluster_id(),
            {self._place(topic, n): e.end for topic, found in extents.items() for n, e in found.items()},
        )
        for topic in ("events", "fleet"):
            for partition, extent in extents[topic].items():
                self._require_beginning(topic, partition, extent)

    def _require_beginning(self, topic: str, partition: int, extent: Extent) -> None:
        if extent.beginning > 0:
            place, check = self._place(topic, partition), FACTS if topic == "events" else SENT
            details = {"beginning": extent.beginning}
            self.report.add(Finding(Verdict.UNVERIFIABLE, check, place, None, "expired", str(place), details))

    async def _next_fleet(self) -> _Fleet | None:
        """The partition of the fleet log whose next record is the oldest: facts for all come in one order."""
        oldest: tuple[int, int] | None = None
        for partition, fleet in self._fleet.items():
            head = await fleet.head()
            if head is not None and (oldest is None or (head.timestamp, partition) < oldest):
                oldest = head.timestamp, partition
        return None if oldest is None else self._fleet[oldest[1]]

    def _place(self, topic: str, partition: int) -> Place:
        return Place(self._history.prefix + topic, partition)

    def _feeds(self) -> list[Feed]:
        sides: list[_Ingress | _Fleet] = [*self._ingress.values(), *self._fleet.values()]
        return [*(side.feed for side in sides), *self._outputs.values()]

    def _tell(self) -> None:
        sides: list[_Ingress | _Fleet] = [*self._ingress.values(), *self._fleet.values()]
        self._progress(sum(side.position - side.feed.extent.beginning for side in sides), self._total)

    # -- what should be there

    def _expect(self, source: Source, output: Output) -> None:
        partition = output.partition
        if partition is None:
            partition = partition_of(output.key or b"", self._partitions[output.topic])
        if output.topic == "events":
            return  # what is appended there again is read there again
        self._lane(self._place(output.topic, partition), source).expect(output)

    def _lane(self, place: Place, source: Source) -> Lane:
        lanes = self._lanes.setdefault(place, {})
        lane = lanes.get(source)
        if lane is None:
            check, identity = SENT, claims.identity_of_output
            if place.topic == self._history.prefix + "fleet":
                check, identity = FACTS, claims.identity_of_fact
            lane = lanes[source] = Lane(check, place, identity, place in self._begins_late)
        return lane

    # -- what is there

    async def _check_fact(self, partition: int, record: Record) -> None:
        place = self._place("fleet", partition)
        claim = claims.of_fleet_record(claims.value_of(record))
        ingress = None if claim is None else self._ingress.get(claim.source[1])
        if claim is None or ingress is None:
            return self._judge(FACTS, place, record, claim)
        if claim.offset is not None:
            await ingress.reach(claim.offset)
        digest = digest_of(record)
        lane = self._lane(place, claim.source)
        while not lane.accepts(record, digest, self.report):
            if claim.offset is not None or not await ingress.advance():
                return self._judge(FACTS, place, record, claim)
        return None

    async def _drain(self, to_the_end: bool = False) -> None:
        """Judge what has been put out because of what is folded."""
        for place, feed in self._outputs.items():
            while (record := await feed.peek()) is not None:
                claim = self._claim_of(record)
                if not (to_the_end or claim is None or self._is_folded(claim)):
                    break
                feed.skip()
                lanes = self._lanes.get(place, {})
                digest = digest_of(record)
                first = lanes.get(claim.source) if claim else None
                if not any(
                    lane.accepts(record, digest, self.report)
                    for lane in ([first] if first else [])
                    + [lane for lane in lanes.values() if lane is not first]
                ):
                    self._judge(SENT, place, record, claim)

    def _is_folded(self, claim: Claim) -> bool:
        kind, partition = claim.source
        side = self._ingress.get(partition) if kind == "events" else self._fleet.get(partition)
        if side is None or claim.offset is None or claim.offset >= side.feed.extent.end:
            return True  # nothing that will be folded is meant
        return claim.offset < side.position

    def _judge(self, check: str, place: Place, record: Record, claim: Claim | None) -> None:
        """Of a record that nobody has put out: what was it made from?"""
        lanes = self._lanes.get(place, {})
        claimed = lanes.get(claim.source) if claim else None
        for lane in [claimed] if claimed else list(lanes.values()):
            if lane.differs(record, self.report):
                return
        identity = claims.identity_of_fact if check == FACTS else claims.identity_of_output
        self.report.add(Finding(Verdict.DIVERGENT, check, place, record.offset, "added", identity(record)))

    def _claim_of(self, record: Record) -> Claim | None:
        events, fleet = (self._history.prefix + topic for topic in ("events", "fleet"))
        return claims.of_output(record, self._fleet_place, events, fleet)

    def _fleet_place(self, name: str) -> int:
        return partition_of(name.encode(errors="replace"), self._partitions["fleet"])

    # -- the end

    async def _finish(self) -> None:
        for fleet in self._fleet.values():
            fleet.end()
        await self._reach_what_outputs_say()
        await self._drain(to_the_end=True)
        facts = self._history.prefix + "fleet"
        for place, lanes in self._lanes.items():
            for lane in lanes.values():
                lane.end(self.report, awaited=place.topic != facts)
        for partition, ingress in self._ingress.items():
            self.report.ahead["events"] += ingress.feed.extent.end - ingress.position
            status = ingress.fold.status()
            self.report.account(self._place("events", partition), status.outcomes, status.records)
        for partition, fleet in self._fleet.items():
            clock = fleet.fold.state.clock
            self.report.account(self._place("fleet", partition), clock.outcomes, clock.records)
        self._progress(self._total, self._total)

    async def _reach_what_outputs_say(self) -> None:
        """Dead letters and alerts about events that no fact refers to."""
        moved = True
        while moved:
            moved = False
            for feed in self._outputs.values():
                record = await feed.peek()
                claim = None if record is None else self._claim_of(record)
                if claim is None or claim.offset is None or self._is_folded(claim):
                    continue
                kind, partition = claim.source
                if kind == "events":  # the fleet log is folded to its end
                    await self._ingress[partition].reach(claim.offset)
                    moved = True
            await self._drain()
