"""What is whole is found whole; what is not is named, with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from models.cut import Cut, Place
from models.fold import LogRecord, Record
from streams.audit import fsck
from streams.audit.archive import Archive
from streams.audit.fsck import Checked
from streams.audit.past import Log, fleet_at
from streams.audit.snapshots import Snapshots
from streams.data_directory import DataDirectory
from streams.engine.changelog import Mark, fence_key, hash_rows, mark_key, mark_value, row_header, row_key
from streams.engine.store import LocalStore, StoreMeta
from streams.reader import Extent, TopicMissing
from tests.unit.streams.audit.recorded import Recorded, lived
from tests.unit.streams.audit.test_archive import archived


@pytest.fixture(scope="module")
def whole() -> Recorded:
    return lived(seconds=20)


@pytest.fixture
def history(whole: Recorded) -> Recorded:
    return deepcopy(whole)


def all_of(found: AsyncIterator[Checked]) -> list[Checked]:
    async def collect() -> list[Checked]:
        return [one async for one in found]

    return asyncio.run(collect())


def wrong(found: list[Checked]) -> list[tuple[str, str, str]]:
    assert all(one.remedy for one in found if one.status != "ok")
    return [(one.name, one.status, one.says) for one in found if one.status != "ok"]


# -- logs


def test_whole_logs(history: Recorded) -> None:
    found = all_of(fsck.logs(history))
    assert {one.name for one in found} == {f"coordinator.{topic}/{n}" for topic, n in history.topics}
    assert not wrong(found)
    assert fsck.worst(found) == "ok"
    records = len(history.topics["fleet", 0])
    assert next(one.says for one in found if one.name == "coordinator.fleet/0") == f"{records} records"


def test_a_log_that_lost_its_beginning(history: Recorded) -> None:
    history.beginnings["fleet", 1] = 7
    found = all_of(fsck.logs(history))
    ((name, status, says),) = wrong(found)
    assert (name, status) == ("coordinator.fleet/1", "warning")
    assert "begins at offset 7" in says
    assert fsck.worst(found) == "warning"


def test_a_log_that_lost_its_beginning_and_more(history: Recorded) -> None:
    history.beginnings["fleet", 1] = 7
    history.drop("fleet", (1, 20))
    found = all_of(fsck.logs(history))
    assert [status for _, status, _ in wrong(found)] == ["warning", "bad"]
    assert fsck.worst(found) == "bad"


def test_records_that_are_gone(history: Recorded) -> None:
    for place in (12, 5, 5):
        history.drop("directives", (0, place))
    ((name, status, says),) = wrong(all_of(fsck.logs(history)))
    assert (name, status) == ("coordinator.directives/0", "bad")
    assert "3 offsets from 5 on hold no record" in says


def test_the_ends_of_transactions_are_no_loss(history: Recorded) -> None:
    history.drop("events", (0, 9))
    found = all_of(fsck.logs(history))
    assert not wrong(found)
    assert any("1 offsets without any, as transactions leave them" in one.says for one in found)


def test_stamps_that_go_back(history: Recorded) -> None:
    records = history.topics["events", 1]
    records[8] = replace(records[8], timestamp=records[8].timestamp - 60_000)
    ((name, status, says),) = wrong(all_of(fsck.logs(history)))
    assert (name, status) == ("coordinator.events/1", "bad")
    assert "1 records were appended before" in says


def test_a_log_that_was_begun_anew_under_the_others(history: Recorded) -> None:
    history.topics["events", 0] = history.topics["events", 0][:4]
    found = wrong(all_of(fsck.logs(history)))
    assert {name for name, _, _ in found} >= {"coordinator.fleet/0", "coordinator.fleet/1"}
    assert all("of coordinator.events/0, which ends at 4" in says for _, _, says in found)


def test_a_fleet_log_of_which_a_partition_is_gone(history: Recorded) -> None:
    del history.topics["events", 1]
    assert any(
        "of coordinator.events/1, which does not exist" in says
        for _, _, says in wrong(all_of(fsck.logs(history)))
    )


# -- changelogs


class Changelogs:
    """The changelogs of two tables; the second has never been created."""

    def __init__(self, records: list[LogRecord]) -> None:
        self._records = records

    async def extents(self, topic: str) -> dict[int, Extent]:
        if topic != "coordinator-agents-changelog":
            raise TopicMissing(topic, "nowhere", "")
        return {0: Extent(0, len(self._records))}

    async def batches(
        self, topic: str, partition: int, extent: Extent
    ) -> AsyncGenerator[Sequence[Record], None]:
        for start in range(0, len(self._records), 2):
            yield self._records[start : start + 2]


def changelog(rows: dict[str, bytes], *, position: int, digest: int = 0) -> list[LogRecord]:
    encoded = {row_key("agents", key): payload for key, payload in rows.items()}
    mark = Mark(0, position, len(rows), hash_rows(encoded)[1] + digest)
    pairs = [(fence_key(), b"{}")]
    pairs += [(key, row_header(0, position) + payload) for key, payload in encoded.items()]
    pairs += [(mark_key(0, 0), mark_value(mark))]
    return [LogRecord(offset, 0, key, value) for offset, (key, value) in enumerate(pairs)]


def looked_at(records: list[LogRecord], history: Recorded) -> Checked:
    agents, missing = all_of(fsck.changelogs(Changelogs(records), "coordinator", history))  # type: ignore[arg-type]
    assert (missing.name, missing.status, missing.says) == (
        "coordinator-fleet-changelog",
        "bad",
        "does not exist",
    )
    return agents


def test_a_changelog_that_proves_itself(history: Recorded) -> None:
    found = looked_at(changelog({"a": b"1", "b": b"2"}, position=5), history)
    assert (found.name, found.status) == ("coordinator-agents-changelog/0", "ok")
    end = len(history.topics["events", 0])
    assert found.says == f"2 rows at offset 5 of coordinator.events/0, {end - 5} behind its end"
    assert looked_at([], history).says == "no checkpoint yet"


def test_a_changelog_that_does_not(history: Recorded) -> None:
    found = looked_at(changelog({"a": b"1", "b": b"2"}, position=5, digest=1), history)
    assert (found.status, found.says) == ("bad", "gives 2 rows, should be 2 with another digest")
    torn = changelog({"a": b"1", "b": b"2"}, position=5)
    del torn[1]
    assert looked_at(torn, history).says == "gives 1 rows, should be 2 with another digest"


def test_a_changelog_of_another_log(history: Recorded) -> None:
    found = looked_at(changelog({"a": b"1"}, position=9_999), history)
    assert found.status == "bad"
    assert "stands at offset 9,999 of coordinator.events/0, which ends at" in found.says


# -- local stores


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    """A worker's directory with two stores."""
    DataDirectory(tmp_path)
    for partition in (0, 10):
        store = LocalStore(tmp_path / "folds" / "agents" / str(partition), "agents", partition)
        rows = {row_key("agents", f"default/a{n}"): b"row %d" % n for n in range(300)}
        mark = Mark(1, 77, len(rows), hash_rows(rows)[1])
        store.write(rows, StoreMeta.after(mark, "coordinator-agents-changelog", 400))
        store.close()
    return tmp_path


def test_stores_that_are_whole(worker: Path) -> None:
    found = list(fsck.stores(worker))
    assert [(one.status, one.says) for one in found] == [("ok", "300 rows at offset 77")] * 2
    assert [Path(one.name).name for one in found] == ["0", "10"]
    assert list(fsck.stores(worker / "nowhere")) == []
    assert not (worker / "nowhere").exists()


def test_a_store_that_is_damaged(worker: Path) -> None:
    for path in (worker / "folds" / "agents" / "0").iterdir():
        if path.suffix in (".sst", ".log"):
            raw = bytearray(path.read_bytes())
            for place in range(200, len(raw), 97):
                raw[place] ^= 0xFF
            path.write_bytes(raw)
    first, second = fsck.stores(worker)
    assert (first.status, second.status) == ("bad", "ok")
    assert "reads the changelog" in first.remedy


def test_stores_of_a_worker_that_runs_are_left_alone(worker: Path) -> None:
    running = DataDirectory(worker)
    running.claim()
    try:
        (found,) = fsck.stores(worker)
    finally:
        running.release()
    assert (found.status, found.name) == ("ok", str(worker))
    assert "belongs to a running worker" in found.says


# -- snapshots and archives


def test_snapshots(history: Recorded, tmp_path: Path) -> None:
    place = Place("coordinator.fleet", 1)
    fleet = "default" if asyncio.run(Log.of(history, "default")).place == place else "north"
    snapshots = Snapshots(tmp_path, every=30)

    async def fold() -> None:
        log = await Log.of(history, fleet)
        await fleet_at(log, Cut.of("memory", {place: log.extent.end}), snapshots=snapshots)

    asyncio.run(fold())
    shelf = snapshots.shelf("memory", place)
    first, second, *_ = shelf.all()
    found = list(fsck.snapshots(shelf))
    assert {one.status for one in found} == {"ok"}
    assert found[0].says.endswith("folded on from the start of the log")
    assert found[1].says.endswith(f"folded on from the one at {first.offset:,}")
    first.path.unlink()
    raw = bytearray(second.path.read_bytes())
    raw[-5] ^= 1
    second.path.write_bytes(raw)
    found = list(fsck.snapshots(shelf))
    assert [one.status for one in found[:2]] == ["bad", "ok"]
    assert found[0].says == "its rows were altered"
    assert found[1].says.endswith("folded on from one that is not here any more")
    assert second.path.exists(), "nothing is mended"


def test_rows_that_are_taken_on_trust_are_looked_at_too(history: Recorded, tmp_path: Path) -> None:
    from hashlib import blake2b

    import cramjam
    import msgspec

    place = asyncio.run(Log.of(history, "default")).place
    snapshots = Snapshots(tmp_path, every=30)

    async def fold() -> None:
        await fleet_at(await Log.of(history, "default"), snapshots=snapshots)

    asyncio.run(fold())
    snapshot = snapshots.shelf("memory", place).all()[-1]
    header, packed = snapshot.read()
    rows = packed["ended_tasks"].rows
    assert rows
    rows["default/made-up"] = rows.pop(next(iter(rows)))
    body = bytes(cramjam.zstd.compress(msgspec.msgpack.encode(packed)))
    header.packed = blake2b(body, digest_size=32).hexdigest()
    header.chain = header.linked()
    snapshot.path.write_bytes(msgspec.json.encode(header) + b"\n" + body)
    found = list(fsck.snapshots(snapshots.shelf("memory", place)))[-1]
    assert (found.status, found.says) == ("bad", "its ended_tasks have another sum")


def test_an_archive(history: Recorded, tmp_path: Path) -> None:
    asyncio.run(archived(history, tmp_path / "all"))
    found = all_of(fsck.archive(Archive.open(tmp_path / "all")))
    assert {one.status for one in found} == {"ok"}
    assert len(found) == len(history.topics)
    (tmp_path / "all" / "alerts" / "0.parquet").write_bytes(b"PAR1")
    ((name, status, says),) = wrong(all_of(fsck.archive(Archive.open(tmp_path / "all"))))
    assert (name, status) == (str(tmp_path / "all" / "alerts" / "0.parquet"), "bad")
    assert "was altered" in says
