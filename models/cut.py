"""A cut: a position in the topics, and so a moment of history.

For each partition that it speaks of, the offset of the first record that is *not* part of it. What was read up to
a cut is one prefix of each partition; two readers of equal cuts have seen the same records. Its text form is::

    MkU3OEVBNTcwNTJENDM2Qk:coordinator.events/0@551,coordinator.fleet/0@1834

the id of the cluster, then places in the order of topic and partition. The cluster may be left out by people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MAX_OFFSET = (1 << 63) - 1
_CLUSTER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLACE = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})/(?P<partition>\d{1,10})@(?P<offset>\d{1,19})")


class BadCut(ValueError):
    """A text is no cut; the message says where and why."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One partition."""

    topic: str
    """Full name, prefix included."""
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Cut:
    """See the module. Equal cuts have equal texts."""

    cluster: str | None
    """Id that the cluster gave itself; ``None`` if whoever wrote the cut did not say."""
    offsets: tuple[tuple[Place, int], ...]
    """In the order of places; each offset is that of the next record."""

    @staticmethod
    def of(cluster: str | None, offsets: Mapping[Place, int]) -> Cut:
        return Cut(cluster, tuple(sorted(offsets.items())))

    @staticmethod
    def parse(text: str) -> Cut:
        """The cut that a text stands for.

        Raises:
            BadCut: if it stands for none.
        """
        cluster, colon, rest = text.rpartition(":")
        if colon and not _CLUSTER.fullmatch(cluster):
            raise BadCut(f"{text!r}: {cluster!r} cannot be the id of a cluster")
        offsets: dict[Place, int] = {}
        for word in rest.split(","):
            found = _PLACE.fullmatch(word)
            if found is None or int(found["offset"]) > _MAX_OFFSET:
                raise BadCut(f"{text!r}: {word!r} is no place; one looks like coordinator.fleet/0@1834")
            place = Place(found["topic"], int(found["partition"]))
            if place in offsets:
                raise BadCut(f"{text!r}: {place} is there twice")
            offsets[place] = int(found["offset"])
        return Cut.of(cluster or None, offsets)

    def __str__(self) -> str:
        places = ",".join(f"{place}@{offset}" for place, offset in self.offsets)
        return f"{self.cluster}:{places}" if self.cluster else places

    def __iter__(self) -> Iterator[Place]:
        return (place for place, _ in self.offsets)

    def get(self, place: Place) -> int | None:
        """The offset of the first record of the partition beyond the cut; ``None`` if it does not say."""
        return dict(self.offsets).get(place)
