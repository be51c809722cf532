"""Looking at everything that is kept: topics and their settings, the logs' continuity, changelogs, local stores,
snapshots, archives. Whatever is found says what to do about it; nothing is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from models.cut import Place
from models.fold import Record
from streams.audit import claims
from streams.audit.archive import Archive, ArchiveDamaged
from streams.audit.history import LOGS, OUTPUTS, History, KafkaHistory, look_at
from streams.audit.snapshots import Shelf, Snapshot, SnapshotRefused
from streams.data_directory import DataDirectory
from streams.engine.changelog import Replay, hash_rows
from streams.engine.errors import StoreInUse
from streams.engine.store import LocalStore, StoreDamaged, stores_of
from streams.errors import ConfigurationError
from streams.reader import Extent, TopicMissing
from streams.topics import Layout, changelog_name, check

Kind: TypeAlias = Literal["topic", "log", "changelog", "store", "snapshot", "archive"]
Status: TypeAlias = Literal["ok", "warning", "bad"]
TABLES = {"agents": "events", "fleet": "fleet"}
"""The folds' tables, by the topics that they read."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at."""

    kind: Kind
    name: str
    status: Status
    says: str
    remedy: str = ""
    """What to do, if anything."""


async def topics(bootstrap: str, layout: Layout) -> AsyncIterator[Checked]:
    """Whether the topics have the settings that they need."""
    findings = await check(bootstrap, layout)
    for name in layout.topics:
        found = [finding for finding in findings if finding.topic == name]
        if not found:
            yield Checked("topic", name, "ok", "its settings are as they must be")
        for finding in found:
            yield Checked("topic", name, "bad" if finding.fatal else "warning", finding.fault, finding.remedy)


class _Run:
    """One partition, read in order."""

    def __init__(self, extent: Extent) -> None:
        self._next = extent.beginning
        self._time = -1
        self.records = 0
        self.gaps = 0
        self.first_gap: int | None = None
        self.backwards = 0

    def add(self, record: Record) -> None:
        if record.offset != self._next:
            self.gaps += record.offset - self._next
            if self.first_gap is None:
                self.first_gap = self._next
        self._next = record.offset + 1
        self.backwards += record.timestamp < self._time
        self._time = max(self._time, record.timestamp)
        self.records += 1


async def logs(history: History) -> AsyncIterator[Checked]:
    """Whether the logs are whole, and outputs and facts stem from what is there."""
    extents = (await look_at(history)).topics
    for topic in (*LOGS, *OUTPUTS):
        for partition, extent in sorted(extents[topic].items()):
            place = Place(history.prefix + topic, partition)
            run = _Run(extent)
            furthest: dict[claims.Source, int] = {}
            async with aclosing(history.batches(topic, partition, extent)) as batches:
                async for batch in batches:
                    for record in batch:
                        run.add(record)
                        claim = _claim_of(history, topic, record, len(extents["fleet"]))
                        if claim is not None and claim.offset is not None:
                            furthest[claim.source] = max(furthest.get(claim.source, -1), claim.offset)
            for finding in _continuity(topic, place, extent, run):
                yield finding
            for finding in _of_claims(history, place, furthest, extents):
                yield finding


def _claim_of(history: History, topic: str, record: Record, fleets: int) -> claims.Claim | None:
    if topic == "events":
        return None
    if topic == "fleet":
        return claims.of_fleet_record(claims.value_of(record))
    return claims.of_output(record, history.prefix, fleets)


def _continuity(topic: str, place: Place, extent: Extent, run: _Run) -> Iterator[Checked]:
    name, faults = str(place), 0
    if topic in LOGS and extent.beginning > 0:
        faults += 1
        yield Checked(
            "log",
            name,
            "warning",
            f"begins at offset {extent.beginning:,}: what was before has expired or was deleted",
            "set retention.ms=-1 (coordinator topics check tells), and export what there is: coordinator export",
        )
    if run.backwards:
        faults += 1
        yield Checked(
            "log",
            name,
            "bad",
            f"{run.backwards:,} records were appended before the one before them, by their stamps",
            "set message.timestamp.type=LogAppendTime (coordinator topics check); what is there stays as it is",
        )
    if run.gaps and topic != "events":
        faults += 1
        yield Checked(
            "log",
            name,
            "bad",
            f"{run.gaps:,} offsets from {run.first_gap:,} on hold no record",
            "records were deleted or the topic is compacted: see coordinator topics check and coordinator verify",
        )
    if not faults:
        without = f", {run.gaps:,} offsets without any, as transactions leave them" if run.gaps else ""
        yield Checked("log", name, "ok", f"{run.records:,} records{without}")


def _of_claims(
    history: History,
    place: Place,
    furthest: Mapping[claims.Source, int],
    extents: Mapping[str, Mapping[int, Extent]],
) -> Iterator[Checked]:
    """Records that stem from beyond the end of a log: it was reset, or is another cluster's."""
    for (kind, partition), offset in sorted(furthest.items()):
        source = Place(history.prefix + kind, partition)
        extent = extents[kind].get(partition)
        if extent is None or offset >= extent.end:
            end = "does not exist" if extent is None else f"ends at {extent.end:,}"
            yield Checked(
                "log",
                str(place),
                "bad",
                f"has records that stem from offset {offset:,} of {source}, which {end}",
                f"{source} was created anew, or these topics are of different clusters: restore it from a backup, "
                "or begin with a new prefix",
            )


async def changelogs(history: KafkaHistory, application: str, logs: History) -> AsyncIterator[Checked]:
    """Whether each changelog gives a state that proves itself.

    Args:
        history: Of the changelogs, whose names have no prefix.
        logs: What the tables are folded from.
    """
    for table, topic in TABLES.items():
        name = changelog_name(application, table)
        try:
            extents = await history.extents(name)
        except TopicMissing:
            yield Checked(
                "changelog", name, "bad", "does not exist", "coordinator topics create, then start a worker"
            )
            continue
        ends = await logs.extents(topic)
        for partition, extent in sorted(extents.items()):
            replay = Replay()
            async with aclosing(history.batches(name, partition, extent)) as batches:
                async for batch in batches:
                    replay.apply(batch, extent.end)
            yield _proved(
                f"{name}/{partition}", replay, Place(logs.prefix + topic, partition), ends.get(partition)
            )


_REBUILD = "stop the workers, delete the topic, create it (coordinator topics create): they fold the log anew"


def _proved(name: str, replay: Replay, source: Place, extent: Extent | None) -> Checked:
    if not replay.proves_itself(hash_rows(replay.rows)[1]):
        should = "none" if replay.mark is None else f"{replay.mark.rows:,} with another digest"
        return Checked(
            "changelog", name, "bad", f"gives {len(replay.rows):,} rows, should be {should}", _REBUILD
        )
    if replay.mark is None:
        return Checked("changelog", name, "ok", "no checkpoint yet")
    position, end = replay.mark.position, -1 if extent is None else extent.end
    if position > end:
        return Checked(
            "changelog",
            name,
            "bad",
            f"stands at offset {position:,} of {source}, which ends at {end:,}",
            f"{source} was created anew, or is another cluster's; if it is meant to be new: {_REBUILD}",
        )
    behind = f", {end - position:,} behind its end" if position < end else ""
    return Checked(
        "changelog", name, "ok", f"{len(replay.rows):,} rows at offset {position:,} of {source}{behind}"
    )


def stores(directory: Path) -> Iterator[Checked]:
    """Whether the local stores of a worker are what they say; of one that runs, it has proved them itself.

    Args:
        directory: The worker's.
    """
    found = [
        LocalStore(path, table, int(path.name))
        for table in TABLES
        for path in stores_of(directory, table).glob("*")
        if path.name.isdecimal()
    ]
    if not found:
        return
    worker = DataDirectory(directory)
    try:
        worker.claim()  # one that is started meanwhile says why it cannot
    except ConfigurationError as running:
        yield Checked("store", str(directory), "ok", f"not looked at: {running}")
        return
    try:
        yield from map(_loaded, sorted(found, key=lambda store: (store.table, store.partition)))
    finally:
        worker.release()


def _loaded(store: LocalStore) -> Checked:
    name = str(store.directory)
    try:
        found = store.load()
    except StoreInUse:
        return Checked("store", name, "ok", "in use by a worker, which has proved it")
    except StoreDamaged as error:
        return Checked(
            "store",
            name,
            "bad",
            str(error),
            "nothing: the worker drops it at its start and reads the changelog",
        )
    finally:
        store.close()
    if found is None:
        return Checked("store", name, "ok", "empty")
    return Checked("store", name, "ok", f"{found.meta.rows:,} rows at offset {found.meta.position:,}")


def snapshots(shelf: Shelf) -> Iterator[Checked]:
    """Whether snapshots are what they say, every row of them."""
    chains: dict[str, Snapshot] = {}
    for snapshot in shelf.all():
        name = str(snapshot.path)
        try:
            header = snapshot.check()
        except SnapshotRefused as refused:
            remedy = "nothing: whoever meets it removes it and folds from further back"
            yield Checked("snapshot", name, "bad", str(refused), remedy)
            continue
        chains[header.chain] = snapshot
        behind = "the start of the log" if header.previous is None else "one that is not here any more"
        if header.previous in chains:
            behind = f"the one at {chains[header.previous].offset:,}"
        yield Checked(
            "snapshot",
            name,
            "ok",
            f"{header.rows:,} rows at offset {header.offset:,}, folded on from {behind}",
        )


async def archive(found: Archive) -> AsyncIterator[Checked]:
    """Whether the files are those of the manifest, and hold the records that it names."""
    for topic, files in found.manifest.topics.items():
        for file in files:
            name = str(found.directory / file.file)
            extent, records = Extent(file.beginning, file.end), 0
            try:
                async with aclosing(found.batches(topic, file.partition, extent)) as batches:
                    async for batch in batches:
                        records += len(batch)
            except ArchiveDamaged as damaged:
                yield Checked(
                    "archive",
                    name,
                    "bad",
                    str(damaged),
                    "take it from a copy, or export it again while Kafka has it",
                )
                continue
            yield Checked("archive", name, "ok", f"{records:,} records")


def worst(found: Sequence[Checked]) -> Status:
    """Of all of them."""
    seen = {one.status for one in found}
    return "bad" if "bad" in seen else "warning" if "warning" in seen else "ok"
