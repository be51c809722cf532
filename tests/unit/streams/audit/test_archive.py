"""An archive is the history, byte for byte; and whatever is done to it is found."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from models.fold import LogRecord, Record
from streams.audit.archive import MANIFEST, Archive, ArchiveDamaged, RecordsDigest, sha256_of
from streams.audit.export import write
from streams.audit.extents import extents_between, parse_when
from streams.audit.findings import Report, Verdict
from streams.audit.history import History
from streams.audit.verify import Verification
from streams.errors import ConfigurationError
from streams.reader import Extent
from tests.unit.streams.audit.recorded import START, Recorded, lived
from tests.unit.streams.audit.test_verify import Running


@pytest.fixture(scope="module")
def history() -> Recorded:
    recorded = lived(seconds=25)
    strange = LogRecord(len(recorded.topics["events", 0]), START + 25_000, None, None, (("h\udcff", None),))
    recorded.topics["events", 0].append(strange)
    return recorded


@pytest.fixture(scope="module")
def lived_through(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorded, Path]:
    """A history as a coordinator leaves it, and an archive of it."""
    directory = tmp_path_factory.mktemp("archive") / "all"
    recorded = lived(seconds=15)
    asyncio.run(archived(recorded, directory))
    return recorded, directory


@pytest.fixture(scope="module")
def whole(history: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("archive") / "all"
    asyncio.run(archived(history, directory))
    return directory


@pytest.fixture
def archive(lived_through: tuple[Recorded, Path], tmp_path: Path) -> Path:
    """One that may be harmed."""
    return Path(shutil.copytree(lived_through[1], tmp_path / "copy"))


async def archived(history: History, directory: Path, start: str = "beginning", end: str = "now") -> None:
    extents = await extents_between(history, parse_when(start), parse_when(end))
    await write(history, extents, directory, "test 1")


async def read(history: History, topic: str, partition: int, extent: Extent | None = None) -> list[Record]:
    found: list[Record] = []
    extents = await history.extents(topic)
    async for batch in history.batches(topic, partition, extent or extents[partition]):
        found += batch
    return found


def same(one: Sequence[Record], other: Sequence[Record]) -> bool:
    def bare(record: Record) -> tuple[object, ...]:
        return record.offset, record.timestamp, record.key, record.value, list(record.headers)

    return list(map(bare, one)) == list(map(bare, other))


async def test_every_record_comes_back_as_it_was(history: Recorded, whole: Path) -> None:
    opened = Archive.open(whole)
    assert (opened.prefix, await opened.cluster_id()) == ("coordinator.", "memory")
    for topic, partition in history.topics:
        assert await opened.extents(topic) == await history.extents(topic)
        assert same(await read(opened, topic, partition), await read(history, topic, partition))
    middle = Extent(5, 9)
    assert same(await read(opened, "fleet", 0, middle), await read(history, "fleet", 0, middle))
    for time in (0, START + 7_000, START + 7_001, START + 10_000_000):
        assert await opened.offset_at("events", 1, time) == await history.offset_at("events", 1, time)


def verified(history: History) -> Report:
    return asyncio.run(Verification(history).run())


def test_it_is_verified_as_the_topics_are(lived_through: tuple[Recorded, Path]) -> None:
    report = verified(Archive.open(lived_through[1]))
    assert report.verified
    assert report.counts == verified(lived_through[0]).counts


def test_one_that_was_written_beside_a_coordinator_is_verified(tmp_path: Path) -> None:
    asyncio.run(archived(Running(lived(seconds=30), 12), tmp_path / "all"))
    opened = Archive.open(tmp_path / "all")
    assert any(opened.manifest.settled[file.partition] < file.end for file in opened.manifest.topics["fleet"])
    report = verified(opened)
    assert report.verified, report.findings[:3]
    assert report.ahead["outputs"]


def test_what_was_altered_before_is_found_in_it(tmp_path: Path) -> None:
    recorded = lived(seconds=15)
    where = recorded.find("directives", lambda record: b"assign_task" in (record.value or b""))
    changed = recorded.alter("directives", where, b'"attempt":1', b'"attempt":2')
    asyncio.run(archived(recorded, tmp_path / "all"))
    (finding,) = verified(Archive.open(tmp_path / "all")).findings
    assert (finding.verdict, finding.offset, finding.reason) == (Verdict.DIVERGENT, changed.offset, "differs")


def flip(directory: Path) -> None:
    """Another value in the file, which is a good file still."""
    path = directory / "directives" / "0.parquet"
    table = pq.read_table(path)
    values = table.column("value").to_pylist()
    values[1] = values[1].replace(b'"attempt":1', b'"attempt":2')
    column = table.schema.get_field_index("value")
    changed = table.set_column(column, table.schema.field(column), [values])
    pq.write_table(changed, path)


def forge(directory: Path) -> None:
    """And the manifest names the file that it is now."""
    flip(directory)
    manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    manifest["topics"]["directives"][0]["sha256"] = sha256_of(directory / "directives" / "0.parquet")
    (directory / MANIFEST).write_text(json.dumps(manifest))


def cut_off(directory: Path) -> None:
    path = directory / "fleet" / "0.parquet"
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


def damage(directory: Path) -> None:
    path = directory / "events" / "0.parquet"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    path.write_bytes(raw)


def remove(directory: Path) -> None:
    (directory / "results" / "0.parquet").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, "directives/0.parquet was altered"),
        (forge, "directives/0.parquet has other records than it should"),
        (cut_off, "fleet/0.parquet was altered"),
        (damage, "events/0.parquet was altered"),
        (remove, "results/0.parquet cannot be read"),
    ],
)
def test_a_file_that_was_harmed_is_named(archive: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(archive)
    with pytest.raises(ArchiveDamaged, match=words):
        verified(Archive.open(archive))


def test_a_manifest_that_is_none_is_told(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveDamaged, match="is no archive, or one that was never finished"):
        Archive.open(tmp_path)
    manifest: dict[str, Any] = json.loads((archive / MANIFEST).read_text())
    (archive / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(ArchiveDamaged, match="of format 2"):
        Archive.open(archive)
    (archive / MANIFEST).write_text("{}")
    with pytest.raises(ArchiveDamaged, match="is no manifest"):
        Archive.open(archive)
    del manifest["topics"]["reports"]
    (archive / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArchiveDamaged, match=r"has no coordinator\.reports"):
        verified(Archive.open(archive))


async def test_a_part_of_history_says_where_it_begins_and_ends(history: Recorded, tmp_path: Path) -> None:
    await archived(history, tmp_path / "part", f"s@{START + 5_000}", f"s@{START + 9_000}")
    part = Archive.open(tmp_path / "part")
    for topic in ("events", "fleet", "directives"):
        for partition, extent in (await part.extents(topic)).items():
            assert same(await read(part, topic, partition), await read(history, topic, partition, extent))
            times = [record.timestamp for record in await read(part, topic, partition)]
            assert all(START + 5_000 <= time < START + 9_000 for time in times)
    await archived(history, tmp_path / "again", part.manifest.begins, part.manifest.ends)
    assert Archive.open(tmp_path / "again").manifest == part.manifest


async def test_nothing_is_written_over(history: Recorded, whole: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds something already"):
        await archived(history, whole)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("now", "beginning", "the end is before the start"),
        ("elsewhere:coordinator.fleet/0@3", "now", "of the cluster elsewhere"),
    ],
)
async def test_moments_that_cannot_be_meant_are_refused(
    history: Recorded, tmp_path: Path, start: str, end: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        await archived(history, tmp_path / "x", start, end)


@pytest.mark.parametrize("text", ["17", "-3", "default.3.0", "event:2026-11-22T10:00Z"])
def test_a_place_in_the_fleet_log_is_none_of_all_topics(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is a place in one topic"):
        parse_when(text)


def test_the_digest_is_this() -> None:
    digest = RecordsDigest()
    digest.add(LogRecord(0, 1_763_800_000_000, None, b"{}", ()))
    digest.add(LogRecord(1, 1_763_800_000_001, b"k", None, (("h", b"v"), ("n", None))))
    first = struct.pack(">qqii2si", 0, 1_763_800_000_000, -1, 2, b"{}", 0)
    second = struct.pack(">qqi1sii", 1, 1_763_800_000_001, 1, b"k", -1, 2)
    headers = struct.pack(">i1si1s", 1, b"h", 1, b"v") + struct.pack(">i1si", 1, b"n", -1)
    page = (Path(__file__).parents[4] / "docs" / "spec" / "archive.md").read_text()
    assert digest.hexdigest() in page
    assert digest.hexdigest() == blake2b(first + second + headers, digest_size=32).hexdigest()
