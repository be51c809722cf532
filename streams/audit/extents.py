"""Parts of all topics: from one moment to another, by arrival or by a cut."""

from __future__ import annotations

from typing import Literal

from models.cut import Cut, Place
from streams.audit.history import Held, History, look_at, offset_of_start
from streams.audit.moments import InLog, Moment, parse_moment, require_cluster
from streams.errors import ConfigurationError
from streams.reader import Extent

_KINDS = ("beginning", "end", "time")


def parse_when(text: str) -> Moment:
    """A moment that says of every topic where it is: a time by arrival, a cut, the beginning, now.

    Raises:
        ConfigurationError: if it is none, or one of the fleet log alone.
    """
    moment = parse_moment(text)
    if isinstance(moment, Cut) or (isinstance(moment, InLog) and moment.start.kind in _KINDS):
        return moment
    raise ConfigurationError(
        f"{text!r} is a place in one topic; for all of them give beginning, now, a time such as "
        "2026-11-22T10:00Z, or a cut"
    )


async def extents_between(history: History, start: Moment, end: Moment) -> Held:
    """What all topics hold from one moment to another. Of partitions that a cut does not name, all.

    Raises:
        ConfigurationError: if a cut is of another cluster, or the end is before the start.
    """
    cluster = await history.cluster_id()
    require_cluster(start, cluster)
    require_cluster(end, cluster)
    found: dict[str, dict[int, Extent]] = {}
    held = await look_at(history)
    for topic, extents in held.topics.items():
        found[topic] = {}
        for partition, extent in extents.items():
            place = Place(history.prefix + topic, partition)
            first = await offset_in(history, topic, place, extent, start, "beginning")
            last = await offset_in(history, topic, place, extent, end, "end")
            if last < first:
                raise ConfigurationError(f"the end is before the start: {place} from {first} to {last}")
            found[topic][partition] = Extent(first, last)
    return Held(found, {n: min(found["fleet"][n].end, settled) for n, settled in held.settled.items()})


async def offset_in(
    history: History,
    topic: str,
    place: Place,
    extent: Extent,
    moment: Moment,
    otherwise: Literal["beginning", "end"],
) -> int:
    """The offset of a moment in one partition, inside its extent; that of a partition that a cut does not name is
    its beginning, or its end."""
    if isinstance(moment, Cut):
        named = moment.get(place)
        offset = getattr(extent, otherwise) if named is None else named
    else:
        assert isinstance(moment, InLog)
        offset = await offset_of_start(history, topic, place.partition, extent, moment.start)
    return max(extent.beginning, min(offset, extent.end))
