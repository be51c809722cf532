"""A fleet as it was at a moment: the fleet log folded from its start up to a cut."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.cut import Cut, Place
from models.fleet import FleetFold
from models.fold import Record
from models.partition import partition_of
from streams.audit.moments import NOW, BeforeDirective, EventTime, InLog, Moment, said_of
from streams.errors import ConfigurationError, StreamsError
from streams.offsets import Start
from streams.reader import Extent, TopicReader

Hear: TypeAlias = Callable[[Sequence[Record]], object]


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


async def fleet_at(
    bootstrap: str,
    prefix: str,
    fleet: str,
    moment: Moment = NOW,
    progress: Callable[[int, int], None] = lambda done, total: None,
    listening: Callable[[FleetFold], Hear] = lambda fold: fold.fold,
) -> Past:
    """Fold the partition of the fleet log that holds ``fleet`` up to a moment.

    Args:
        progress: Is told how many records are folded, of how many.
        listening: Makes what is told the records, which it has to fold, and which may have to be awaited.

    Raises:
        BrokerUnreachable, TopicMissing: if there is nothing to read from.
        ConfigurationError: if the moment is of another cluster, another fleet or not in the log.
        HistoryIncomplete: if the log does not begin at its beginning.
    """
    async with TopicReader(bootstrap, prefix) as reader:
        extents = await reader.extents("fleet")
        partition = partition_of(fleet.encode(), len(extents))
        place = Place(f"{prefix}fleet", partition)
        extent = extents[partition]
        if extent.beginning > 0:
            raise HistoryIncomplete(place, extent.beginning)
        cluster = await reader.cluster_id()
        end = await _end_of(reader, moment, place, extent, cluster, fleet)
        fold = FleetFold(partition, len(await reader.extents("events")), place.topic)
        hear = listening(fold)
        if end > extent.beginning:
            done = 0
            async for batch in reader.batches("fleet", partition, Extent(extent.beginning, end)):
                if isinstance(moment, EventTime):
                    if await _folded_until(fold, hear, fleet, batch, moment):
                        end = fold.state.clock.offset + 1
                        break
                else:
                    await _heard(hear, batch)
                done += len(batch)
                progress(done, end - extent.beginning)
    return Past(fold, Cut.of(cluster, {place: end}), place, moment)


async def offset_of(bootstrap: str, prefix: str, fleet: str, moment: Moment) -> int:
    """The offset, in the fleet's partition of the fleet log, of the first record at or after a moment.

    Raises:
        BrokerUnreachable, TopicMissing: if there is nothing to read from.
        ConfigurationError: as :func:`fleet_at`; and of a time by events, which folding alone can tell.
    """
    if isinstance(moment, EventTime):
        raise ConfigurationError(
            "a time by events is known when all was folded; give one by arrival, or an offset"
        )
    async with TopicReader(bootstrap, prefix) as reader:
        extents = await reader.extents("fleet")
        partition = partition_of(fleet.encode(), len(extents))
        place = Place(f"{prefix}fleet", partition)
        return await _end_of(reader, moment, place, extents[partition], await reader.cluster_id(), fleet)


async def _end_of(
    reader: TopicReader, moment: Moment, place: Place, extent: Extent, cluster: str | None, fleet: str
) -> int:
    """The offset of the first record that is not to be folded."""
    if isinstance(moment, EventTime):
        return extent.end
    if isinstance(moment, InLog):
        return await _of_start(reader, moment.start, place, extent)
    if isinstance(moment, BeforeDirective):
        if moment.fleet != fleet:
            raise ConfigurationError(f"that directive is of the fleet {moment.fleet!r}; name it with --fleet")
        offset = moment.offset
    else:
        offset = _of_cut(moment, place, cluster, fleet)
    if offset > extent.end:
        raise ConfigurationError(f"{place} ends at offset {extent.end}, before {offset}")
    return offset


def _of_cut(cut: Cut, place: Place, cluster: str | None, fleet: str) -> int:
    if cut.cluster and cluster and cut.cluster != cluster:
        raise ConfigurationError(f"the cut is of the cluster {cut.cluster}; this one is {cluster}")
    offset = cut.get(place)
    if offset is None:
        raise ConfigurationError(f"the cut does not say where {place} is, which holds the fleet {fleet!r}")
    return offset


async def _of_start(reader: TopicReader, start: Start, place: Place, extent: Extent) -> int:
    at_time: int | None = None
    if start.kind == "time":
        at_time = (await reader.offsets_at("fleet", start.number, [place.partition]))[place.partition]
    if start.kind == "offset" and start.number > extent.end:
        raise ConfigurationError(f"{place} ends at offset {extent.end}, before {start.number}")
    return start.offset(extent.beginning, extent.end, at_time)


async def _heard(hear: Hear, records: Sequence[Record]) -> None:
    hearing = hear(records)
    if inspect.isawaitable(hearing):
        await hearing


async def _folded_until(
    fold: FleetFold, hear: Hear, fleet: str, batch: Sequence[Record], moment: EventTime
) -> bool:
    """Fold record by record, until every partition of the events has been heard of so far that what happened by
    then cannot come any more but as late."""
    for record in batch:
        await _heard(hear, [record])
        known = fold.state.fleets.get(fleet)
        lateness = 0 if known is None else known.policy.windows.max_lateness
        if fold.state.clock.fleet_time >= moment.milliseconds + lateness:
            return True
    return False
