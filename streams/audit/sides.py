"""The two sides of a verification: partitions of the events and of the fleet log, folded as far as is asked
for."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec

from models.cut import Place
from models.fleet import FleetFold
from models.fleet_records import CoordinationPlan
from models.fold import Output, Record
from models.ingress import IngressFold
from streams.audit import plans
from streams.audit.checkpoint import Mark, SavedFleet, SavedIngress
from streams.audit.findings import Finding, Report, Verdict
from streams.audit.history import Feed, History
from streams.audit.lanes import digest_of
from streams.reader import Extent

LOOKAHEAD = 20_000
"""Records of the fleet log that are read before one is folded: a plan stands so far behind its base, at most."""

AT_ONCE = 64
"""Records of the fleet log that are folded between two looks at all else. With each of them may come the
events of a quarter of a second: what is done should be told, and kept, every now and then."""


class IngressJob(msgspec.Struct):
    """A partition of the events that is to be folded.

    Attributes:
        counts: How many partitions events and fleet log have.
        topic: Full name of the events.
        beginning, end: What is to be folded.
        judged_from: What is before is folded, and not judged.
        saved: What was folded before.
    """

    partition: int
    counts: dict[str, int]
    topic: str
    beginning: int
    end: int
    judged_from: int
    saved: SavedIngress | None = None

    @property
    def extent(self) -> Extent:
        return Extent(self.beginning, self.end)


class IngressSide:
    """One partition of the events, folded as far as somebody refers to it."""

    def __init__(
        self, feed: Feed, fold: IngressFold, put_out: Callable[[Output, bool], None], begin: int
    ) -> None:
        self._feed = feed
        self._fold = fold
        self.position = feed.extent.beginning
        self._put_out = put_out
        self._begin = begin
        """What is before is folded, and not judged."""
        self._last: Record | Mark | None = None
        """That was folded."""

    @staticmethod
    def of(history: History, job: IngressJob, put_out: Callable[[Output, bool], None]) -> IngressSide:
        fold = IngressFold(job.partition, job.counts, topic=job.topic)
        side = IngressSide(Feed(history, "events", job.partition, job.extent), fold, put_out, job.judged_from)
        if job.saved is not None:
            side._restore(job.saved)
        return side

    @property
    def extent(self) -> Extent:
        return self._feed.extent

    async def extend(self, end: int) -> None:
        """The partition has grown."""
        self._feed.extend(end)

    def books(self) -> tuple[Mapping[str, int], int]:
        """The outcomes of what was folded, and how many records that was."""
        status = self._fold.status()
        return status.outcomes, status.records

    async def saved(self) -> SavedIngress:
        """As of now, to go on from."""
        rows = {
            name: {key: table.encode(row) for key, row in table.items()}
            for name, table in self._fold.tables.items()
        }
        return SavedIngress(self.position, _mark(self._last), rows)

    async def close(self) -> None:
        """Read no further."""
        await self._feed.close()

    def _restore(self, saved: SavedIngress) -> None:
        self.position = saved.position
        self._last = saved.last
        for name, table in self._fold.tables.items():
            for key, row in saved.rows[name].items():
                table.rows[key] = table.decode(row)
        self._fold.restored()

    async def advance(self) -> bool:
        """Fold what is at hand; whether there was anything."""
        batch = await self._feed.batch()
        if not batch:
            self.position = (
                self._feed.extent.end
            )  # at which no record need stand: a transaction may end there
            return False
        for part, judged in parted(batch, self._begin):
            for output in self._fold.fold(part):
                self._put_out(output, judged)
        self._last = batch[-1]
        self.position = batch[-1].offset + 1
        return True

    async def reach(self, offset: int) -> None:
        while self.position <= offset and await self.advance():
            pass


class FleetSide:
    """One partition of the fleet log."""

    def __init__(self, feed: Feed, fold: FleetFold, place: Place, report: Report, until: int) -> None:
        self.feed = feed
        self.fold = fold
        self.position = feed.extent.beginning
        self.until = until
        """Nothing from here on is folded now, though it is read."""
        self.place = place
        self._report = report
        self._ahead: deque[Sequence[Record]] = deque()
        self._read = 0
        """Records that are ahead."""
        self._plans: dict[int, list[tuple[Record, CoordinationPlan]]] = {}
        """By the offset that they are based on, until that is folded."""
        self._held: set[int] = set()
        """Offsets at which plans stand, of what is ahead."""
        self._judged: frozenset[int] = frozenset()
        """Of those, which need no judgement any more."""
        self._last: Record | Mark | None = None
        """That was folded."""

    @property
    def extent(self) -> Extent:
        return self.feed.extent

    def saved(self) -> SavedFleet:
        """As of now, for :meth:`restore`."""
        waiting = {record.offset for plans in self._plans.values() for record, _ in plans}
        tables = {name: table.copy() for name, table in self.fold.pack().items()}
        told = {offset for offset in self._judged if offset >= self.position} | (self._held - waiting)
        return SavedFleet(self.position, _mark(self._last), sorted(told), tables)

    def restore(self, saved: SavedFleet) -> None:
        """Become, from a new one whose feed begins there, the side that was saved."""
        self.position = saved.position
        self._last = saved.last
        self.fold.load(saved.tables)
        self._judged = frozenset(saved.judged)

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
        if not self._ahead or self._ahead[0][0].offset >= self.until:
            return ()
        batch = self._ahead.popleft()
        number = min(bisect_left(batch, self.until, key=attrgetter("offset")), AT_ONCE)
        if number < len(batch):
            self._ahead.appendleft(batch[number:])
            batch = batch[:number]
        self._read -= len(batch)
        return batch

    async def head(self) -> Record | None:
        """The next record to be folded; ``None`` at the end."""
        head = self._ahead[0][0] if self._ahead else await self.feed.peek()
        return None if head is None or head.offset >= self.until else head

    def is_plan(self, record: Record) -> bool:
        """Whether a record of the last :meth:`batch` is a plan; asked once of each."""
        if record.offset in self._held:
            self._held.discard(record.offset)
            return True
        return False

    def _note(self, record: Record, plan: CoordinationPlan) -> None:
        base = plan.based_on
        if record.offset in self._judged:
            return
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
        self._last = batch[-1]
        self.position = batch[-1].offset + 1
        return self.fold.fold(batch)

    def _judge(self, base: int) -> None:
        for record, plan in self._plans.pop(base, ()):
            plans.judge(self.fold, self.place, record, plan, self._report)

    def end(self) -> None:
        """Plans whose base is no record of this log, among what was folded."""
        for base, waiting in self._plans.items():
            for record, plan in waiting:
                if record.offset < self.until:
                    self._find(Verdict.DIVERGENT, record, "no_such_base", plan, base)

    def _find(self, verdict: Verdict, record: Record, reason: str, plan: CoordinationPlan, base: int) -> None:
        details = {"based_on": base}
        self._report.add(
            Finding(verdict, plans.CHECK, self.place, record.offset, reason, plan.plan_id, details)
        )


def _mark(last: Record | Mark | None) -> Mark | None:
    """The last record that was folded, to be known again."""
    return last if last is None or isinstance(last, tuple) else (last.offset, digest_of(last).hex())


def parted(batch: Sequence[Record], begin: int) -> Iterator[tuple[Sequence[Record], bool]]:
    """What is before an offset and what is not, with whether it is judged."""
    number = bisect_left(batch, begin, key=attrgetter("offset")) if batch[0].offset < begin else 0
    if number:
        yield batch[:number], False
    if number < len(batch):
        yield batch[number:], True
