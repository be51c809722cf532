"""Verifying a history: does everything that the coordinator wrote follow from what it read?

Three checks, in one pass over the topics:

* *facts*: each record of the fleet log, but for plans, is what the ingress fold puts out for the events;
* *outputs*: each directive, result, report, alert and dead letter is what the folds put out, byte for byte;
* *plans*: each plan is what the planner proposes to the state that the plan says it was based on.

Everything is read once and in order, and compared as it comes, so memory holds the states and what is on its way.
A history that somebody goes on writing can be followed: what comes is judged when it has come to rest. Whoever
verifies has the folds and the planner, and the topics; nothing is taken from a worker or from its tables.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from models.cut import Cut, Place
from models.fleet import FleetFold
from models.fold import Output, Record
from models.partition import partition_of
from streams.audit import claims
from streams.audit.checkpoint import CheckpointRefused, Mark, Saved
from streams.audit.claims import Claim, Source
from streams.audit.extents import offset_in
from streams.audit.findings import UNKNOWN_VERSION, Finding, Report, Verdict
from streams.audit.helpers import Helpers, RemoteSide
from streams.audit.history import OUTPUTS, Feed, History, Progress, look_at
from streams.audit.lanes import Lane, digest_of
from streams.audit.moments import BEGINNING, NOW, Moment, require_cluster
from streams.audit.sides import FleetSide, IngressJob, IngressSide, parted
from streams.reader import Extent

FACTS, SENT = "facts", "outputs"

KEEP_EVERY = 10.0
"""Seconds, at the least, from one time that all is kept to the next."""
_KEPT_SHARE = 20
"""Times as long as keeping it took."""
HOLD = 15.0
"""Seconds that records of the fleet log rest before they are folded, while it is being written."""


class Verification:
    """One pass over a history.

    Args:
        history: Where the records come from.
        progress: Is told how many records of events and fleet log are done, of how many.
        since: Only what stands there from then on is judged; what is before only brings the states there.
        until: What follows from the fleet log up to then is judged.
        told: Is told each finding, as it is made.
        keep: Is given, now and then, all that is known, for :meth:`resume`.
        helpers: Other processes, among which and this one the partitions of the events are dealt out.
    """

    def __init__(
        self,
        history: History,
        progress: Progress = lambda done, total: None,
        since: Moment = BEGINNING,
        until: Moment = NOW,
        told: Callable[[Finding], object] = lambda finding: None,
        keep: Callable[[Saved], object] | None = None,
        helpers: Helpers | None = None,
    ) -> None:
        self._helpers = helpers
        self._keep = keep
        self._keep_at = time.monotonic() + KEEP_EVERY
        self._resumed: Saved | None = None
        self._done_before = 0
        """Records that were folded by whom this goes on for."""
        self._history = history
        self._progress = progress
        self._since = since
        self._until = until
        self.report = Report(told)
        self._lanes: dict[Place, dict[Source, Lane]] = {}
        self._ingress: dict[int, IngressSide | RemoteSide] = {}
        self._fleet: dict[int, FleetSide] = {}
        self._outputs: dict[Place, Feed] = {}
        self._settled: dict[int, int] = {}
        """Offsets of the fleet log before which all that follows has been put out."""
        self._partitions: dict[str, int] = {}
        self._begins_late: set[Place] = set()

    def resume(self, saved: Saved) -> None:
        """Go on from there. To be called before :meth:`run`, which raises :class:`CheckpointRefused` then if the
        history is not the one that was verified so far."""
        self._resumed = saved

    async def saved(self) -> Saved:
        """What is folded and judged so far. Only between two batches of the fleet log."""
        ingress = {partition: await side.saved() for partition, side in self._ingress.items()}
        done = sum(side.position - side.extent.beginning for side in self._sides())
        return Saved(
            ingress=ingress,
            fleet={partition: side.saved() for partition, side in self._fleet.items()},
            lanes=[lane.saved(source) for lanes in self._lanes.values() for source, lane in lanes.items()],
            outputs=[(place, feed.position) for place, feed in self._outputs.items()],
            report=self.report.saved(),
            done=self._done_before + done,
        )

    async def run(self) -> Report:
        """Verify all that the history holds now.

        Raises:
            ConfigurationError: if a moment is of another cluster.
        """
        try:
            await self._open()
            await self._pass()
            await self._finish()
        finally:
            await self._close()
        return self.report

    async def follow(
        self, enough: asyncio.Event, passed: Callable[[Cut], object], hold: float = HOLD, pause: float = 1.0
    ) -> Report:
        """Verify what the history holds and what is appended to it, until there is enough.

        Args:
            passed: Is told again and again up to where everything is judged.
            hold: Seconds for which records of the fleet log are left to rest, so that plans based on them are
                there when they are folded.
            pause: Seconds between two looks at what has come.
        """
        try:
            await self._open()
            while not enough.is_set():
                await self._hold(hold)
                await self._pass()
                await self._reach_what_outputs_say()
                passed(self._cut())
                with suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), pause)
                await self._extend()
            for partition, fleet in self._fleet.items():
                fleet.until = self._settled[partition]
            await self._pass()
            await self._finish()
        finally:
            await self._close()
        return self.report

    async def _pass(self) -> None:
        """Fold and judge all that is there, and not held."""
        while fleet := await self._next_fleet():
            batch = await fleet.batch()
            for record in batch:
                if not fleet.is_plan(record):
                    await self._check_fact(fleet.feed.partition, record)
            source: Source = ("fleet", fleet.feed.partition)
            for part, judged in parted(batch, self.report.begins.get(fleet.place, 0)):
                for output in fleet.folded(part):
                    self._expect(source, output, judged)
            await self._drain()
            self._tell()
            await self._keep_now_and_then()

    async def _keep_now_and_then(self) -> None:
        """Seldom enough that it costs little."""
        began = time.monotonic()
        if self._keep is not None and began >= self._keep_at:
            self._keep(await self.saved())
            self._keep_at = time.monotonic() + max(KEEP_EVERY, _KEPT_SHARE * (time.monotonic() - began))

    async def _close(self) -> None:
        for side in self._ingress.values():
            await side.close()
        for feed in (*(side.feed for side in self._fleet.values()), *self._outputs.values()):
            await feed.close()

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
        held = await look_at(history)
        self._settled, extents = held.settled, held.topics
        fleet = extents["fleet"]
        self._partitions = {topic: len(found) for topic, found in extents.items()}
        counts = {"events": len(extents["events"]), "fleet": len(fleet)}
        self._cluster = await history.cluster_id()
        await self._limit(extents)
        for topic, found in extents.items():
            for partition, extent in found.items():
                if extent.beginning > 0:
                    self._begins_late.add(self._place(topic, partition))
        for topic in OUTPUTS:
            for partition, extent in extents[topic].items():
                self._outputs[self._place(topic, partition)] = Feed(history, topic, partition, extent)
        for partition, extent in extents["events"].items():
            await self._open_ingress(partition, extent, counts)
        for partition, extent in fleet.items():
            place = self._place("fleet", partition)
            fold = FleetFold(partition, counts["events"], place.topic)
            until = min(self.report.ends.get(place, extent.end), self._settled[partition])
            self._fleet[partition] = FleetSide(
                Feed(history, "fleet", partition, extent), fold, place, self.report, until
            )
        self.report.cut = self._cut()
        for topic in ("events", "fleet"):
            for partition, extent in extents[topic].items():
                self._require_beginning(topic, partition, extent)
        if self._resumed is not None:
            await self._go_on(self._resumed)

    async def _open_ingress(self, partition: int, extent: Extent, counts: dict[str, int]) -> None:
        """Let this process, or a helper, fold a partition of the events."""
        place = self._place("events", partition)
        saved = None if self._resumed is None else self._resumed.ingress.get(partition)
        if saved is not None:
            extent = await self._behind("events", partition, extent, saved.position, saved.last)
        judged_from = self.report.begins.get(place, 0)
        job = IngressJob(partition, counts, place.topic, extent.beginning, extent.end, judged_from, saved)
        put_out = partial(self._expect, ("events", partition))
        number = partition % (self._helpers.count + 1) if self._helpers else 0
        if self._helpers is None or not number:
            self._ingress[partition] = IngressSide.of(self._history, job, put_out)
        else:
            self._ingress[partition] = await self._helpers.open(number - 1, job, put_out)

    async def _go_on(self, saved: Saved) -> None:
        """Become, from what was just opened, the verification that was saved.

        Raises:
            CheckpointRefused: if the topics are not those that it had read.
        """
        if saved.ingress.keys() != self._ingress.keys() or saved.fleet.keys() != self._fleet.keys():
            raise CheckpointRefused("the topics have other partitions now")
        self.report.restore(saved.report)
        self._done_before = saved.done
        for partition, facts in saved.fleet.items():
            fleet = self._fleet[partition]
            fleet.feed = await self._from(fleet.feed, "fleet", facts.position, facts.last)
            fleet.restore(facts)
        for lane in saved.lanes:
            self._lane(lane.place, lane.source).restore(lane)
        for place, position in saved.outputs:
            feed = self._outputs.get(place)
            if feed is None:
                raise CheckpointRefused(f"there is no {place} any more")
            topic = place.topic.removeprefix(self._history.prefix)
            self._outputs[place] = await self._from(feed, topic, position, None)

    async def _from(self, feed: Feed, topic: str, position: int, last: Mark | None) -> Feed:
        """The same feed, from a position on."""
        await feed.close()
        extent = await self._behind(topic, feed.partition, feed.extent, position, last)
        return Feed(self._history, topic, feed.partition, extent)

    async def _behind(
        self, topic: str, partition: int, extent: Extent, position: int, last: Mark | None
    ) -> Extent:
        """What stands there from a position on, behind a record that has to be there."""
        place = self._place(topic, partition)
        if position > extent.end:
            raise CheckpointRefused(f"{place} ends at {extent.end}, before {position}")
        if last is not None and last[0] >= extent.beginning:
            before = Feed(self._history, topic, partition, Extent(last[0], last[0] + 1))
            record = await before.peek()
            await before.close()
            if record is None or (record.offset, digest_of(record).hex()) != last:
                raise CheckpointRefused(f"another record stands at {place}@{last[0]} now")
        if extent.beginning > position:
            raise CheckpointRefused(f"{place} begins at {extent.beginning} now")
        return Extent(position, extent.end)

    async def _limit(self, extents: Mapping[str, Mapping[int, Extent]]) -> None:
        """Find out which records are to be judged."""
        for moment in (self._since, self._until):
            require_cluster(moment, self._cluster)
        report = self.report
        for topic, found in extents.items():
            for partition, extent in found.items():
                place = self._place(topic, partition)
                if self._since != BEGINNING:
                    first = await offset_in(self._history, topic, place, extent, self._since, "beginning")
                    report.begins[place] = first
                if self._until != NOW and topic in ("events", "fleet"):
                    report.ends[place] = await offset_in(
                        self._history, topic, place, extent, self._until, "end"
                    )

    async def _extend(self) -> None:
        """See what has come."""
        held = await look_at(self._history)
        self._settled = held.settled
        for topic, found in held.topics.items():
            for partition, extent in found.items():
                if topic == "events":
                    await self._ingress[partition].extend(extent.end)
                elif topic == "fleet":
                    self._fleet[partition].feed.extend(extent.end)
                else:
                    self._outputs[self._place(topic, partition)].extend(extent.end)
        self.report.cut = self._cut()

    async def _hold(self, seconds: float) -> None:
        """Leave what was appended to the fleet log last for later."""
        rests = round((time.time() - seconds) * 1_000)
        for partition, fleet in self._fleet.items():
            young = await self._history.offset_at("fleet", partition, rests)
            settled = self._settled[partition]
            fleet.until = settled if young is None else max(min(young, settled), fleet.position)

    def _cut(self) -> Cut:
        """Up to where everything is read that is judged."""
        offsets = {fleet.place: fleet.until for fleet in self._fleet.values()}
        for partition, ingress in self._ingress.items():
            offsets[self._place("events", partition)] = ingress.extent.end
        offsets |= {place: feed.extent.end for place, feed in self._outputs.items()}
        return Cut.of(self._cluster, offsets)

    def _require_beginning(self, topic: str, partition: int, extent: Extent) -> None:
        if extent.beginning > 0:
            place, check = self._place(topic, partition), FACTS if topic == "events" else SENT
            details = {"beginning": extent.beginning}
            self.report.add(Finding(Verdict.UNVERIFIABLE, check, place, None, "expired", str(place), details))

    async def _next_fleet(self) -> FleetSide | None:
        """The partition of the fleet log whose next record is the oldest: facts for all come in one order."""
        oldest: tuple[int, int] | None = None
        for partition, fleet in self._fleet.items():
            head = await fleet.head()
            if head is not None and (oldest is None or (head.timestamp, partition) < oldest):
                oldest = head.timestamp, partition
        return None if oldest is None else self._fleet[oldest[1]]

    def _place(self, topic: str, partition: int) -> Place:
        return Place(self._history.prefix + topic, partition)

    def _sides(self) -> Iterator[IngressSide | RemoteSide | FleetSide]:
        yield from self._ingress.values()
        yield from self._fleet.values()

    @property
    def _total(self) -> int:
        """Records of events and fleet log."""
        left = sum(side.extent.end - side.extent.beginning for side in self._sides())
        return self._done_before + left

    def _tell(self) -> None:
        done = sum(side.position - side.extent.beginning for side in self._sides())
        self._progress(self._done_before + done, self._total)

    # -- what should be there

    def _expect(self, source: Source, output: Output, judged: bool) -> None:
        partition = output.partition
        if partition is None:
            partition = partition_of(output.key or b"", self._partitions[output.topic])
        if output.topic == "events":
            return  # what is appended there again is read there again
        self._lane(self._place(output.topic, partition), source).expect(output, judged)

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
                folded = claim is None or self._is_folded(claim)
                if not (to_the_end or folded):
                    break
                feed.skip()
                if claim is not None and self._is_beyond(claim):
                    self.report.ahead[SENT] += 1
                    continue
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
        side: IngressSide | RemoteSide | FleetSide | None
        side = self._ingress.get(partition) if kind == "events" else self._fleet.get(partition)
        if side is None or claim.offset is None or claim.offset >= side.extent.end:
            return True  # nothing that will be folded is meant
        return claim.offset < side.position

    def _is_beyond(self, claim: Claim) -> bool:
        """Whether what it comes from stands in the log, and is not to be folded any more."""
        kind, partition = claim.source
        if claim.offset is None:
            return False
        if kind == "events":
            place = self._place("events", partition)
            return claim.offset >= self.report.ends.get(place, claim.offset + 1)
        fleet = self._fleet.get(partition)
        return fleet is not None and fleet.until <= claim.offset < fleet.feed.extent.end

    def _judge(self, check: str, place: Place, record: Record, claim: Claim | None) -> None:
        """Of a record that nobody has put out: what was it made from?"""
        lanes = self._lanes.get(place, {})
        claimed = lanes.get(claim.source) if claim else None
        for lane in [claimed] if claimed else list(lanes.values()):
            if lane.differs(record, self.report):
                return
        identity = claims.identity_of_fact if check == FACTS else claims.identity_of_output
        reason = UNKNOWN_VERSION if claims.of_another_version(record) else "added"
        self.report.add(Finding(Verdict.DIVERGENT, check, place, record.offset, reason, identity(record)))

    def _claim_of(self, record: Record) -> Claim | None:
        return claims.of_output(record, self._history.prefix, self._partitions["fleet"])

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
            self.report.ahead["events"] += ingress.extent.end - ingress.position
            self.report.account(self._place("events", partition), *ingress.books())
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
                if kind == "events" and not self._is_beyond(
                    claim
                ):  # the fleet log is folded as far as it is to be
                    await self._ingress[partition].reach(claim.offset)
                    moved = True
            await self._drain()
