"""Writing archives: a part of a history into Parquet files, and the manifest last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from models.cut import Cut, Place
from models.fold import Record
from streams.audit.archive import (
    MANIFEST,
    ArchiveDamaged,
    File,
    Manifest,
    RecordsDigest,
    pyarrow_or_say,
    raw_name,
    sha256_of,
)
from streams.audit.history import Held, History, Progress
from streams.errors import ConfigurationError
from streams.reader import Extent

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 50_000
"""Records that are compressed, and read, together."""


async def write(
    history: History,
    held: Held,
    directory: Path,
    written_by: str,
    progress: Progress = lambda done, total: None,
) -> Manifest:
    """Write what is held into a new archive.

    Args:
        directory: Is made; if it is there, it has to be empty.

    Raises:
        ConfigurationError: if the directory holds something.
        ArchiveDamaged: if it cannot be written.
    """
    pyarrow_or_say()
    try:
        _make(directory)
        return await _written(history, held, directory, written_by, progress)
    except OSError as error:
        raise ArchiveDamaged(f"the archive {directory} cannot be written: {error}") from error


def _make(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} holds something already; give a directory of its own")
    directory.mkdir(parents=True, exist_ok=True)


async def _written(
    history: History,
    held: Held,
    directory: Path,
    written_by: str,
    progress: Progress,
) -> Manifest:
    total = sum(extent.end - extent.beginning for found in held.topics.values() for extent in found.values())
    done = 0
    topics: dict[str, list[File]] = {}
    for topic, found in held.topics.items():
        topics[topic] = []
        for partition, extent in sorted(found.items()):
            name = f"{topic}/{partition}.parquet"
            (directory / topic).mkdir(exist_ok=True)

            def told(records: int, so_far: int = done) -> None:
                progress(so_far + records, total)

            digest = await _write_partition(history, topic, partition, extent, directory / name, told)
            topics[topic].append(
                File(
                    partition=partition,
                    file=name,
                    beginning=extent.beginning,
                    end=extent.end,
                    records=digest.records,
                    digest=digest.hexdigest(),
                    sha256=sha256_of(directory / name),
                )
            )
            done += extent.end - extent.beginning
    cluster = await history.cluster_id()

    def cut(side: Callable[[File], int]) -> str:
        places = {
            Place(history.prefix + topic, file.partition): side(file)
            for topic, files in topics.items()
            for file in files
        }
        return str(Cut.of(cluster, places))

    manifest = Manifest(
        cluster=cluster,
        prefix=history.prefix,
        begins=cut(lambda file: file.beginning),
        ends=cut(lambda file: file.end),
        written_by=written_by,
        topics=topics,
        settled=held.settled,
    )
    part = directory / f".{MANIFEST}"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    part.replace(directory / MANIFEST)  # last: what has a manifest is whole
    return manifest


async def _write_partition(
    history: History,
    topic: str,
    partition: int,
    extent: Extent,
    path: Path,
    told: Callable[[int], None],
) -> RecordsDigest:
    pa = pyarrow_or_say()
    schema, digest = _schema(pa), RecordsDigest()
    waiting: list[Record] = []
    with pa.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        async with aclosing(history.batches(topic, partition, extent)) as batches:
            async for batch in batches:
                for record in batch:
                    digest.add(record)
                waiting += batch
                if len(waiting) >= ROW_GROUP:
                    writer.write_table(_table(pa, schema, history.prefix + topic, partition, waiting))
                    waiting = []
                told(digest.records)
        if waiting:
            writer.write_table(_table(pa, schema, history.prefix + topic, partition, waiting))
    return digest


def _table(pa: Any, schema: pa.Schema, topic: str, partition: int, records: Sequence[Record]) -> pa.Table:
    columns = [
        [topic] * len(records),
        [partition] * len(records),
        [record.offset for record in records],
        [record.timestamp for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [[{"name": raw_name(name), "value": value} for name, value in record.headers] for record in records],
    ]
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _schema(pa: Any) -> pa.Schema:
    header = pa.struct([("name", pa.binary()), ("value", pa.binary())])
    return pa.schema(
        [
            pa.field("topic", pa.string(), nullable=False),
            pa.field("partition", pa.int32(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
            pa.field("key", pa.binary()),
            pa.field("value", pa.binary()),
            pa.field("headers", pa.list_(header), nullable=False),
        ]
    )
