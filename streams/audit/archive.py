"""Archives: the records of all topics in Parquet files, with a manifest by which they can be proved whole.

An archive holds, for each partition of each topic, one file with its records in the order of their offsets, byte
for byte, and ``manifest.json``: the cut at which it begins and the one at which it ends, and of each file how many
records it has and the digest of them. It can be verified as the topics can, long after they have expired, and
read by whatever reads Parquet. Formats: ``docs/spec/archive.md``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import msgspec

from models.fold import Headers, LogRecord, Record
from streams.audit.history import ends_of
from streams.errors import ConfigurationError, StreamsError
from streams.reader import Extent

FORMAT = 1
MANIFEST = "manifest.json"
_BATCH = 10_000


class ArchiveDamaged(StreamsError):
    """An archive is not what its manifest says, or there is none."""


class File(msgspec.Struct, kw_only=True):
    """One partition, as the manifest tells of it."""

    partition: int
    file: str
    """Its path inside the archive."""
    beginning: int
    """The partition's extent when it was archived: offsets ``[beginning, end)``,"""
    end: int
    records: int
    """of which so many hold a record."""
    digest: str
    """Of those, in their order: see :class:`RecordsDigest`. Whoever archives the same records has the same one."""
    sha256: str
    """Of the file."""


class Manifest(msgspec.Struct, kw_only=True):
    """What an archive says of itself."""

    format: int = FORMAT
    cluster: str | None
    prefix: str
    begins: str
    """The cut of the first records,"""
    ends: str
    """and that of the first ones that are not in it."""
    written_by: str
    """Name and version of the program."""
    topics: dict[str, list[File]]
    """By logical name, in the order of partitions."""
    settled: dict[int, int] = {}
    """Up to where in each partition of the fleet log all that follows from it is in the archive, if anybody had
    put it out; of one that is not named, its end."""


class RecordsDigest:
    """BLAKE2b-256 over records: of each its offset and append time as 8 bytes, big-endian and signed, then key,
    value, number of headers, and name and value of each header. Each of these is its length in 4 bytes, big-endian
    and signed, and its bytes; -1 alone for null; the number of headers stands alone."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=32)
        self.records = 0

    def add(self, record: Record) -> None:
        parts = [
            record.offset.to_bytes(8, signed=True),
            record.timestamp.to_bytes(8, signed=True),
            *_sized(record.key),
            *_sized(record.value),
            len(record.headers).to_bytes(4),
        ]
        for name, value in record.headers:
            parts += _sized(raw_name(name))
            parts += _sized(value)
        self._digest.update(b"".join(parts))
        self.records += 1

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _sized(part: bytes | None) -> tuple[bytes, ...]:
    return (_NULL,) if part is None else (len(part).to_bytes(4), part)


_NULL = (-1).to_bytes(4, signed=True)


def raw_name(name: str) -> bytes:
    """A header's name as it came: brokers take any bytes."""
    return name.encode(errors="surrogateescape")


def name_of(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def pyarrow_or_say() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            "archives need pyarrow; install it with: pip install 'coordinator-agent[archive]'"
        ) from error
    return pyarrow


class Archive:
    """An archive as a :class:`~streams.audit.history.History`."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self.prefix = manifest.prefix
        self._checked: set[str] = set()

    @staticmethod
    def open(directory: Path) -> Archive:
        """
        Raises:
            ArchiveDamaged: if there is no manifest that this version understands.
        """
        pyarrow_or_say()
        path = directory / MANIFEST
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except OSError as error:
            raise ArchiveDamaged(
                f"{directory} is no archive, or one that was never finished: {path} cannot be read"
            ) from error
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ArchiveDamaged(f"{path} is no manifest: {error}") from error
        if manifest.format != FORMAT:
            raise ArchiveDamaged(f"{path} is of format {manifest.format}; this version reads {FORMAT}")
        return Archive(directory, manifest)

    async def cluster_id(self) -> str | None:
        return self.manifest.cluster

    async def extents(self, topic: str) -> dict[int, Extent]:
        files = self.manifest.topics.get(topic)
        if not files:
            raise ArchiveDamaged(f"the archive {self.directory} has no {self.prefix}{topic}")
        return {file.partition: Extent(file.beginning, file.end) for file in files}

    async def settled(self) -> dict[int, int]:
        return ends_of(await self.extents("fleet")) | self.manifest.settled

    async def offset_at(self, topic: str, partition: int, time: int) -> int | None:
        with self._opened(self._file(topic, partition)) as parquet:
            for group in range(parquet.num_row_groups):
                columns = parquet.read_row_group(group, columns=["offset", "timestamp"])
                offsets = columns.column("offset").to_pylist()
                times = columns.column("timestamp").cast("int64").to_pylist()
                for offset, timestamp in zip(offsets, times, strict=True):
                    if timestamp >= time:
                        return int(offset)
        return None

    async def batches(
        self, topic: str, partition: int, extent: Extent
    ) -> AsyncGenerator[Sequence[Record], None]:
        """The records of an extent.

        Raises:
            ArchiveDamaged: if the file cannot be read or is not that of the manifest; and, where it is read from
                its beginning to its end, if its records are not. That is told after the last.
        """
        file = self._file(topic, partition)
        whole = extent.beginning <= file.beginning and extent.end >= file.end
        digest = RecordsDigest()
        with self._opened(file) as parquet:
            for group in range(parquet.num_row_groups):
                if not whole and not self._overlaps(parquet, group, extent):
                    continue
                for batch in self._read(file, parquet, group):
                    if whole:
                        for record in batch:
                            digest.add(record)
                        yield batch
                    else:
                        yield [r for r in batch if extent.beginning <= r.offset < extent.end]
        if whole and (digest.records, digest.hexdigest()) != (file.records, file.digest):
            raise ArchiveDamaged(
                f"{self.directory / file.file} has other records than it should: {digest.records:,} with the "
                f"digest {digest.hexdigest()[:16]}…; the manifest says {file.records:,}, {file.digest[:16]}…"
            )

    def _file(self, topic: str, partition: int) -> File:
        for file in self.manifest.topics.get(topic, ()):
            if file.partition == partition:
                return file
        raise ArchiveDamaged(f"the archive {self.directory} has no {self.prefix}{topic}/{partition}")

    def _opened(self, file: File) -> Any:
        pa = pyarrow_or_say()
        path = self.directory / file.file
        try:
            if file.file not in self._checked:
                found = sha256_of(path)
                if found != file.sha256:
                    raise ArchiveDamaged(
                        f"{path} was altered: its SHA-256 is {found[:16]}…, the manifest says {file.sha256[:16]}…"
                    )
                self._checked.add(file.file)
            return pa.parquet.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(file, error) from error

    def _unreadable(self, file: File, error: Exception) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self.directory / file.file} cannot be read: {str(error).strip()}")

    @staticmethod
    def _overlaps(parquet: Any, group: int, extent: Extent) -> bool:
        statistics = parquet.metadata.row_group(group).column(2).statistics
        if statistics is None or not statistics.has_min_max:
            return True
        return bool(statistics.min < extent.end and statistics.max >= extent.beginning)

    def _read(self, file: File, parquet: Any, group: int) -> list[list[LogRecord]]:
        pa = pyarrow_or_say()
        names = ["offset", "timestamp", "key", "value", "headers"]
        try:
            return [
                _records(batch) for batch in parquet.iter_batches(_BATCH, row_groups=[group], columns=names)
            ]
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(file, error) from error


def _records(batch: Any) -> list[LogRecord]:
    offsets, times, keys, values, headers = (batch.column(number) for number in range(5))
    rows = zip(
        offsets.to_pylist(),
        times.cast("int64").to_pylist(),
        keys.to_pylist(),
        values.to_pylist(),
        headers.to_pylist(),
        strict=True,
    )
    return [LogRecord(offset, time, key, value, _headers(pairs)) for offset, time, key, value, pairs in rows]


def _headers(pairs: Sequence[Mapping[str, bytes | None]]) -> Headers:
    return tuple((name_of(pair["name"] or b""), pair["value"]) for pair in pairs)
