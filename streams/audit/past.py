"""A fleet as it was at a moment: the fleet log folded up to a cut, from its start or from a snapshot."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from models.cut import Cut, Place
from models.fleet import FleetFold
from models.fold import Record
from models.partition import partition_of
from streams.audit.history import History, Progress, offset_of_start
from streams.audit.moments import NOW, BeforeDirective, EventTime, InLog, Moment, require_cluster, said_of
from streams.audit.snapshots import (
    NO_SNAPSHOTS,
    Keeper,
    Shelf,
    Snapshot,
    SnapshotRefused,
    Snapshots,
    record_digest,
)
from streams.errors import ConfigurationError, StreamsError
from streams.offsets import Start
from streams.reader import Extent

Hear: TypeAlias = Callable[[Sequence[Record]], object]
ENOUGH = object()
"""Returned by who hears, when it need hear no more: the moment is then what it has heard last."""


class HistoryIncomplete(StreamsError):
    """The beginning of the fleet log has expired: what it was folded into cannot be told from the rest."""

    def __init__(self, place: Place, beginning: int) -> None:
        super().__init__(
            f"{place} begins at offset {beginning}: what was before has expired or was deleted, so no state can "
            "be folded from it; ask a worker with --http, and keep the fleet log for as long as you look back"
        )


@dataclass(frozen=True, slots=True)
class Past:
    """A fleet's partition of the fleet log, folded up to a cut."""

    fold: FleetFold
    cut: Cut
    place: Place
    asked: Moment
    folded: int
    """Records that it took; what a snapshot stood for is not among them."""

    @property
    def at(self) -> dict[str, object]:
        """Where that is, as answers say it."""
        clock = self.fold.state.clock
        return {
            "topic": self.place.topic,
            "partition": self.place.partition,
            "offset": self.cut.get(self.place),
            "cut": str(self.cut),
            "time": clock.log_time / 1_000 if clock.offset >= 0 else None,
            **said_of(self.asked),
        }


@dataclass(frozen=True, slots=True)
class Log:
    """The partition of the fleet log that holds a fleet.

    Attributes:
        events: How many partitions the events have.
    """

    history: History
    fleet: str
    place: Place
    extent: Extent
    cluster: str | None
    events: int

    @staticmethod
    async def of(history: History, fleet: str) -> Log:
        """
        Raises:
            BrokerUnreachable, TopicMissing: if there is nothing to read from.
        """
        extents = await history.extents("fleet")
        partition = partition_of(fleet.encode(), len(extents))
        place = Place(f"{history.prefix}fleet", partition)
        events = len(await history.extents("events"))
        return Log(history, fleet, place, extents[partition], await history.cluster_id(), events)

    @staticmethod
    async def places(history: History) -> list[tuple[Place, str | None]]:
        """All partitions of the fleet log, with the id of their cluster."""
        cluster = await history.cluster_id()
        return [(Place(f"{history.prefix}fleet", n), cluster) for n in await history.extents("fleet")]

    def new_fold(self) -> FleetFold:
        return FleetFold(self.place.partition, self.events, self.place.topic)

    async def offset_of(self, moment: Moment) -> int:
        """The offset of the first record that is not part of what was by then; of a time by events, which only
        folding can tell, the end.

        Raises:
            ConfigurationError: if the moment is of another cluster, another fleet or not in the log.
        """
        if isinstance(moment, EventTime):
            return self.extent.end
        if isinstance(moment, InLog):
            return await self._of_start(moment.start)
        if isinstance(moment, BeforeDirective):
            if moment.fleet != self.fleet:
                raise ConfigurationError(
                    f"that directive is of the fleet {moment.fleet!r}; name it with --fleet"
                )
            offset = moment.offset
        else:
            offset = self._of_cut(moment)
        if offset > self.extent.end:
            raise ConfigurationError(f"{self.place} ends at offset {self.extent.end}, before {offset}")
        return offset

    def _of_cut(self, cut: Cut) -> int:
        require_cluster(cut, self.cluster)
        offset = cut.get(self.place)
        if offset is None:
            raise ConfigurationError(
                f"the cut does not say where {self.place} is, which holds the fleet {self.fleet!r}"
            )
        return offset

    async def _of_start(self, start: Start) -> int:
        if start.kind == "offset" and start.number > self.extent.end:
            raise ConfigurationError(f"{self.place} ends at offset {self.extent.end}, before {start.number}")
        return await offset_of_start(self.history, "fleet", self.place.partition, self.extent, start)


async def fleet_at(
    log: Log,
    moment: Moment = NOW,
    progress: Progress = lambda done, total: None,
    snapshots: Snapshots = NO_SNAPSHOTS,
) -> Past:
    """The fleet at a moment: :func:`heard` with nobody who listens."""
    return await heard(log, moment, progress=progress, snapshots=snapshots, since=log.extent.end)


async def heard(
    log: Log,
    moment: Moment = NOW,
    listening: Callable[[FleetFold], Hear] = lambda fold: fold.fold,
    progress: Progress = lambda done, total: None,
    snapshots: Snapshots = NO_SNAPSHOTS,
    since: int = 0,
) -> Past:
    """Fold the log up to a moment, and let somebody hear it.

    Args:
        listening: Makes, of a fold, what is told the records, which it has to fold, and which may have to be
            awaited; :data:`ENOUGH` ends it. Of a fold that turns out to be wrong it is called again.
        progress: Is told how many records are folded, of how many.
        snapshots: States that were kept; the nearest one is where folding begins, and new ones are added.
        since: Offset of the first record that has to be heard; before it a snapshot will do.

    Raises:
        ConfigurationError: if the moment is of another cluster, another fleet or not in the log.
        HistoryIncomplete: if the log does not begin at its beginning, and no snapshot stands for that.
    """
    end = await log.offset_of(moment)
    shelf = snapshots.shelf(log.cluster, log.place)
    until = moment.milliseconds if isinstance(moment, EventTime) else None
    for snapshot in shelf.up_to(min(since, end), until):
        try:
            return await _Walk(log, moment, end, listening, progress, shelf, snapshot).run()
        except SnapshotRefused as refused:
            shelf.refuse(snapshot, str(refused))
    return await _Walk(log, moment, end, listening, progress, shelf, None).run()


class _Walk:
    """Folding once, from a snapshot or from the start, up to a moment."""

    def __init__(
        self,
        log: Log,
        moment: Moment,
        end: int,
        listening: Callable[[FleetFold], Hear],
        progress: Progress,
        shelf: Shelf,
        snapshot: Snapshot | None,
    ) -> None:
        self._log = log
        self._moment = moment
        self._end = end
        self._progress = progress
        self._fold = log.new_fold()
        self._began = None if snapshot is None else snapshot.restore(self._fold)
        self._keeper = Keeper(shelf, self._fold, log.events, self._began)
        self._hear = listening(self._fold)
        self._folded = 0

    async def run(self) -> Past:
        """
        Raises:
            SnapshotRefused: if the log is not the one that the snapshot is of.
            HistoryIncomplete: if the log does not reach back to where folding begins.
        """
        log = self._log
        start = 0 if self._began is None else self._began.offset
        if log.extent.beginning > start:
            raise HistoryIncomplete(log.place, log.extent.beginning)
        end = self._end
        if end > start:
            read_from = start if self._began is None else max(log.extent.beginning, self._began.last_offset)
            extent = Extent(read_from, end)
            async with aclosing(log.history.batches("fleet", log.place.partition, extent)) as batches:
                async for batch in batches:
                    if await self._stops(self._wanted(batch)):
                        end = self._fold.state.clock.offset + 1
                        break
                    self._progress(self._folded, end - start)
        return Past(self._fold, Cut.of(log.cluster, {log.place: end}), log.place, self._moment, self._folded)

    def _wanted(self, batch: Sequence[Record]) -> Sequence[Record]:
        """Those behind the snapshot; the last one before it has to be the one that was there."""
        began = self._began
        if began is None or not batch or batch[0].offset >= began.offset:
            return batch
        for record in batch:
            if record.offset == began.last_offset and record_digest(record) != began.last_record:
                raise SnapshotRefused(f"another record stands at offset {record.offset} now")
        return [record for record in batch if record.offset >= began.offset]

    async def _stops(self, records: Sequence[Record]) -> bool:
        """Fold; whether that is far enough. A time by events is looked for record by record."""
        if isinstance(self._moment, EventTime):
            for record in records:
                if await self._told([record]) or self._has_come(self._moment):
                    return True
            return False
        return bool(records) and await self._told(records)

    async def _told(self, records: Sequence[Record]) -> bool:
        """Whether who hears has heard enough."""
        self._keeper.hears(records)
        heard = self._hear(records)
        if inspect.isawaitable(heard):
            heard = await heard
        self._keeper.heard()
        self._folded += len(records)
        return heard is ENOUGH

    def _has_come(self, moment: EventTime) -> bool:
        """Whether every partition of the events has been heard of so far that what happened by then cannot come
        any more but as late."""
        state = self._fold.state
        known = state.fleets.get(self._log.fleet)
        lateness = 0 if known is None else known.policy.windows.max_lateness
        return state.clock.fleet_time >= moment.milliseconds + lateness
