"""Snapshots: states of the fleet log on the way to now, kept in files, so that none has to be folded from zero.

Whoever folds a long log leaves one behind every so many records, at a seal of the state
(``models.fleet.seal``). A snapshot is a cache and no evidence. It is believed only if

* it is, to the last byte, the file that its header names, and its rows give the digest of the state,
* the last record before it is the one that stands in the log now, and
* the plans that stand in the log behind it name the digests that folding on from it gives.

Of rows that are never changed (``models.fleet.seal.WriteOnceTable``), which are most, the sum of the hashes is
taken from the file; :meth:`Snapshot.check` makes them all again.

The first line of a file is a JSON object with all that is said of it; what follows are the rows, packed.
"""

from __future__ import annotations

import gc
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import cramjam
import msgspec
import orjson

from models.cut import Place
from models.fleet import FleetFold
from models.fleet.seal import FOLD_VERSION, PackedTable, digest_bytes, row_hash
from models.fold import Record
from streams.audit.lanes import digest_of
from streams.audit.plans import plan_in

FORMAT = 1
EVERY = 5_000
"""Records between snapshots, at the least; the next seal is where one is kept."""
_SUFFIX = ".snapshot"
_rows = msgspec.msgpack.Decoder(dict[str, PackedTable]).decode
_packed = msgspec.msgpack.Encoder().encode


class SnapshotRefused(Exception):
    """A snapshot is not what it says, or not of this log; the message says why."""


class Header(msgspec.Struct, kw_only=True):
    """What a snapshot says of itself."""

    format: int = FORMAT
    fold: int = FOLD_VERSION
    cluster: str
    topic: str
    partition: int
    events_partitions: int
    offset: int
    """Of the first record that is not part of it."""
    last_offset: int
    """Of the last one that is,"""
    last_record: str
    """and its digest."""
    time: int
    """Log time."""
    fleet_time: int
    rows: int
    packed: str
    """Digest of what follows the header."""
    digest: str
    """Of the state."""
    previous: str | None
    """Chain of the snapshot that this one was folded on from; ``None`` if the log was folded from its start."""
    chain: str = ""
    """Digest of all of the above."""

    def linked(self) -> str:
        """What ``chain`` has to be."""
        said = msgspec.structs.asdict(self) | {"chain": ""}
        return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=32).hexdigest()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file that says that it is a snapshot."""

    path: Path
    offset: int
    fleet_time: int

    @staticmethod
    def named(path: Path) -> Snapshot | None:
        words = path.name.removesuffix(_SUFFIX).split(".")
        if len(words) != 2 or not all(word.removeprefix("-").isdecimal() for word in words):
            return None
        return Snapshot(path, int(words[0]), int(words[1]))

    def read(self) -> tuple[Header, dict[str, PackedTable]]:
        """What it says of itself, and its rows by table and key.

        Raises:
            SnapshotRefused: if it cannot be read, is of another version, or was cut off or altered.
        """
        try:
            line, _, packed = self.path.read_bytes().partition(b"\n")
            header = msgspec.json.decode(line, type=Header)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise SnapshotRefused(f"it cannot be read: {error}") from error
        if (header.format, header.fold) != (FORMAT, FOLD_VERSION):
            raise SnapshotRefused(f"it is of format {header.format}, fold {header.fold}")
        if header.chain != header.linked() or header.offset != self.offset:
            raise SnapshotRefused("what it says of itself was altered")
        if header.packed != blake2b(packed, digest_size=32).hexdigest():
            raise SnapshotRefused("its rows were altered")
        try:
            return header, _rows(bytes(cramjam.zstd.decompress(packed)))
        except (cramjam.DecompressionError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise SnapshotRefused(f"its rows cannot be read: {error}") from error

    def restore(self, fold: FleetFold) -> Header:
        """Make an empty fold what it was.

        Raises:
            SnapshotRefused: if it is not what it says.
        """
        header, rows = self.read()
        collecting = gc.isenabled()
        gc.disable()  # it would look through all that is made here, again and again
        try:
            fold.load(rows)
        except (msgspec.DecodeError, msgspec.ValidationError, LookupError) as error:
            raise SnapshotRefused(f"its rows are none of this fold: {error!r}") from error
        finally:
            if collecting:
                gc.enable()
        clock = fold.state.clock
        if fold.state.digest().hex() != header.digest or clock.offset != header.last_offset:
            raise SnapshotRefused("its rows have another digest")
        return header

    def check(self) -> Header:
        """Look at everything, rows that :meth:`restore` takes on trust too.

        Raises:
            SnapshotRefused: if it is not what it says.
        """
        header, packed = self.read()
        for name, table in packed.items():
            total = digest_bytes(sum(row_hash(name, key, row) for key, row in table.rows.items()))
            if table.total and total != table.total:
                raise SnapshotRefused(f"its {name} have another sum")
        self.restore(FleetFold(header.partition, header.events_partitions, header.topic))
        return header


class Shelf:
    """The snapshots of one partition of the fleet log; none if there is no directory.

    Args:
        every: Records between one that is kept and the next.
        told: Is told of what cannot be kept or is not believed.
    """

    def __init__(
        self, directory: Path | None, cluster: str, place: Place, every: int, told: Callable[[str], object]
    ) -> None:
        self._directory = directory
        self._cluster = cluster
        self._place = place
        self.every = every
        self._told = told

    def up_to(self, offset: int, fleet_time: int | None = None) -> Iterator[Snapshot]:
        """Those that do not go beyond the offset (nor have reached a fleet time), the latest first."""
        for snapshot in reversed(self.all()):
            if snapshot.offset <= offset and (fleet_time is None or snapshot.fleet_time < fleet_time):
                yield snapshot

    def all(self) -> list[Snapshot]:
        """In the order of offsets."""
        if self._directory is None or not self._directory.is_dir():
            return []
        named = (Snapshot.named(path) for path in sorted(self._directory.glob(f"*{_SUFFIX}")))
        return [snapshot for snapshot in named if snapshot is not None]

    def refuse(self, snapshot: Snapshot, why: str) -> None:
        """It is not believed; it goes, and what it stood for is folded again."""
        self._told(f"the snapshot {snapshot.path} is not believed, and removed: {why}")
        with suppress(OSError):
            snapshot.path.unlink()

    def keep(self, fold: FleetFold, events_partitions: int, last: Record, previous: str | None) -> str | None:
        """Keep the state of a fold, which was sealed just now; its chain, or ``None`` if there is no room."""
        if self._directory is None:
            return None
        rows = fold.pack()
        packed = bytes(cramjam.zstd.compress(_packed(rows), level=1))
        clock = fold.state.clock
        header = Header(
            cluster=self._cluster,
            topic=self._place.topic,
            partition=self._place.partition,
            events_partitions=events_partitions,
            offset=clock.sealed,
            last_offset=last.offset,
            last_record=record_digest(last),
            time=clock.log_time,
            fleet_time=clock.fleet_time,
            rows=sum(len(table.rows) for table in rows.values()),
            packed=blake2b(packed, digest_size=32).hexdigest(),
            digest=clock.digest.hex(),
            previous=previous,
        )
        header.chain = header.linked()
        name = f"{header.offset:020d}.{header.fleet_time}{_SUFFIX}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            part = self._directory / f".{name}.{os.getpid()}"
            part.write_bytes(msgspec.json.encode(header) + b"\n" + packed)
            part.replace(self._directory / name)
        except OSError as error:
            self._told(f"no snapshots are kept in {self._directory}: {error.strerror or error}")
            self._directory = None
            return None
        return header.chain


class Keeper:
    """Keeps snapshots of a fold while it folds, and looks whether the log agrees with the one it began with.

    Args:
        began: What the fold was restored from, if it was.
    """

    def __init__(self, shelf: Shelf, fold: FleetFold, events_partitions: int, began: Header | None) -> None:
        self._shelf = shelf
        self._events_partitions = events_partitions
        self._chain = None if began is None else began.chain
        self._kept = 0 if began is None else began.offset
        self._seals: dict[int, str] | None = None if began is None else {began.offset: began.digest}
        self._batch: Sequence[Record] = ()
        fold.on_seal = self._sealed

    def hears(self, records: Sequence[Record]) -> None:
        """These are folded next."""
        self._batch = records

    def heard(self) -> None:
        """They were.

        Raises:
            SnapshotRefused: if a plan among them names another state than the snapshot has led to.
        """
        seals = self._seals
        if seals is None:
            return
        for record in self._batch:
            plan = plan_in(record)
            said = None if plan is None else plan.provenance
            if said is None or said.fold != FOLD_VERSION or said.state is None:
                continue
            if said.state.offset in seals:
                if seals[said.state.offset] != said.state.digest:
                    raise SnapshotRefused(f"the plan at offset {record.offset} was made on another state")
                self._seals = None
                return

    def _sealed(self, fold: FleetFold) -> None:
        clock = fold.state.clock
        if self._seals is not None:
            self._seals[clock.sealed] = clock.digest.hex()
        if clock.sealed - self._kept >= self._shelf.every:
            number = bisect_left(self._batch, clock.offset, key=lambda record: record.offset)
            last = self._batch[number]
            self._chain = self._shelf.keep(fold, self._events_partitions, last, self._chain)
            self._kept = clock.sealed


def record_digest(record: Record) -> str:
    """Of a record where it stands: its content and its append time."""
    return blake2b(digest_of(record) + b"%d" % record.timestamp, digest_size=16).hexdigest()


class Snapshots:
    """A directory of snapshots.

    Args:
        directory: ``None`` to keep none, and to use none.
        every: Records between one that is kept and the next.
        told: Is told, in words, of what cannot be kept or is not believed.
    """

    def __init__(
        self,
        directory: Path | None,
        every: int = EVERY,
        told: Callable[[str], object] = lambda words: None,
    ) -> None:
        self._directory = directory
        self._every = every
        self._told = told

    def shelf(self, cluster: str | None, place: Place) -> Shelf:
        """Those of one partition of the fleet log. A cluster that does not say which one it is has none."""
        directory = self._directory
        if directory is not None and cluster is not None:
            directory = directory / cluster / place.topic / str(place.partition)
        else:
            directory = None
        return Shelf(directory, cluster or "", place, self._every, self._told)


NO_SNAPSHOTS = Snapshots(None)
