"""A bounded cache of rows makes no difference but in memory: any limit, any moment, with restarts in between."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fold import LogRecord, Output, Table
from models.ingress import IngressFold
from streams.batches import RecordBatch
from streams.engine.changelog import Mark, Replay, hash_rows
from streams.engine.errors import ColdRowsLost, FoldFailed, RowsUnreadable
from streams.engine.restore import bring_up_to_date
from streams.engine.store import LocalStore, StoreDamaged, StoreMeta
from streams.engine.task import PartitionTask, evictable
from tests.unit.models.ingress.history import LENGTH, history
from tests.unit.models.ingress.world import snapshot
from tests.unit.streams.engine.folds import Number, NumbersFold, log_of

PARTITIONS = {"events": 2, "fleet": 3}


class Partition:
    """One partition with a local store, opened, folded and saved as the engine does it, without Kafka."""

    def __init__(self, directory: Path, limit: int | None) -> None:
        self.directory = directory
        self.limit = limit
        self.position = 0
        self.open()

    def open(self) -> None:
        self.fold = IngressFold(0, PARTITIONS)
        self.task = PartitionTask(
            table="agents",
            topic="events",
            partition=0,
            fold=self.fold,
            store=LocalStore(self.directory, "agents", 0),
            position=self.position,
            epoch=0,
        )
        found = self.task.store.load(
            {} if self.limit is None else dict.fromkeys(evictable(self.fold), self.limit)
        )
        if found is not None:
            self.task.fill(found.rows, found.hashes, found.meta.digest, self.limit)

    def take(self, records: list[LogRecord]) -> list[Output]:
        self.position += len(records)
        end = self.position
        _, outputs = self.task.fold_batch(RecordBatch("events", 0, end - len(records), end, records, end))
        self.fold.validate()
        return outputs

    def save(self) -> None:
        pending = self.task.begin_checkpoint()
        mark = pending.mark
        meta = StoreMeta("c", mark.epoch, mark.position, 0, mark.rows, mark.digest, 0.0)
        self.task.store.write(pending.changes, meta)
        if self.limit is not None:
            self.task.make_room(self.limit, pending.changes)
            agents = self.fold.tables["agents"]
            assert len(agents.rows) <= self.limit, "nothing is dirty right after a checkpoint"
            assert len(agents) == len(list(agents.items()))

    def restart(self) -> None:
        self.save()
        self.task.store.close()
        self.open()
        self.fold.validate()

    def rows(self) -> dict[str, dict[str, bytes]]:
        """All of them, encoded."""
        return {
            name: {key: table.encode(row) for key, row in sorted(table.items())}
            for name, table in self.fold.tables.items()
        }


@given(
    st.integers(0, 2**32).map(history),
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(1, 20), st.sampled_from(["save", "save", "restart", ""])), max_size=30),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_fold_with_few_rows_in_memory_does_the_same(
    records: list[LogRecord], limit: int, steps: list[tuple[int, str]]
) -> None:
    whole = IngressFold(0, PARTITIONS)
    with tempfile.TemporaryDirectory() as directory:
        bounded = Partition(Path(directory) / "0", limit)
        for length, what in [*steps, (LENGTH, "restart")]:
            batch = records[bounded.position : bounded.position + length]
            assert bounded.take(batch) == whole.fold(batch)
            assert bounded.fold.status() == whole.status()
            if what == "save":
                bounded.save()
            elif what == "restart":
                bounded.restart()
        assert bounded.rows() == snapshot(whole)
        pending = bounded.task.begin_checkpoint()
        encoded = {
            f"{name}/{key}".encode(): row
            for name, rows in snapshot(whole).items()
            for key, row in rows.items()
        }
        assert (pending.mark.rows, pending.mark.digest) == (len(encoded), hash_rows(encoded)[1])
        bounded.task.store.close()


class EvictableNumbers(NumbersFold):
    def __init__(self) -> None:
        self.numbers = Table("numbers", Number, evictable=True)


@pytest.fixture
def numbers(tmp_path: Path) -> PartitionTask:
    """Rows 0 to 9, of which memory has room for the last four to change."""
    task = PartitionTask(
        table="t",
        topic="source",
        partition=0,
        fold=EvictableNumbers(),
        store=LocalStore(tmp_path / "0", "t", 0),
        position=0,
        epoch=0,
    )
    for start in range(0, 10, 2):
        change(task, *((b"%d" % number, b"%d" % number) for number in (start, start + 1)))
        save(task, limit=4)
    return task


def change(task: PartitionTask, *pairs: tuple[bytes, bytes | None]) -> None:
    records = log_of(pairs, task.position)
    end = task.position + len(records)
    task.fold_batch(RecordBatch("source", 0, task.position, end, records, end))


def save(task: PartitionTask, limit: int) -> None:
    pending = task.begin_checkpoint()
    mark = pending.mark
    task.store.write(
        pending.changes, StoreMeta("c", 0, mark.position, mark.position, mark.rows, mark.digest, 0.0)
    )
    task.make_room(limit, pending.changes)


def table_of(task: PartitionTask) -> Table[Number]:
    table: Table[Number] = task.fold.tables["numbers"]  # type: ignore[assignment]
    return table


def test_what_changed_last_stays(numbers: PartitionTask) -> None:
    table = table_of(numbers)
    assert list(table.rows) == ["6", "7", "8", "9"]
    assert (len(table), numbers.cold_rows) == (10, 6)
    change(numbers, (b"6", b"60"))
    save(numbers, limit=1)
    assert list(table.rows) == ["6"]


def test_what_changed_since_the_checkpoint_stays_however_little_room_there_is(numbers: PartitionTask) -> None:
    pending = numbers.begin_checkpoint()
    change(numbers, (b"0", b"5"), (b"1", b"5"))
    numbers.make_room(0, pending.changes)
    assert list(table_of(numbers).rows) == ["0", "1"]


def test_what_is_asked_for_comes_back(numbers: PartitionTask) -> None:
    table = table_of(numbers)
    assert "2" in table
    row = table.get("2")
    assert row is not None
    assert row.value == 2
    assert "2" in table.rows
    assert "none" not in table
    assert table.get("none") is None
    assert {key: row.value for key, row in table.items()} == {str(number): number for number in range(10)}
    assert (len(table), numbers.cold_rows) == (10, 5)


def test_a_cold_row_may_be_deleted_replaced_and_born_again(numbers: PartitionTask) -> None:
    table = table_of(numbers)
    change(numbers, (b"0", None), (b"1", b"11"))
    assert "0" not in table
    assert table.get("0") is None, "the store still has it"
    assert len(table) == 9
    save(numbers, limit=0)
    assert table.get("0") is None
    change(numbers, (b"0", b"12"))
    save(numbers, limit=0)
    assert {key: row.value for key, row in table.items()} == {
        str(number): {0: 12, 1: 11}.get(number, number) for number in range(10)
    }


def test_a_repair_may_be_of_a_cold_row(numbers: PartitionTask) -> None:
    numbers.repairs = {b"numbers/3": None}
    assert numbers.begin_checkpoint().changes == {b"numbers/3": table_of(numbers).encode(Number(3))}


@pytest.mark.parametrize("payload", [None, b"\x91\x07"])
def test_a_row_that_the_store_does_not_give_as_it_was_ends_the_partition(
    numbers: PartitionTask, payload: bytes | None
) -> None:
    numbers.store.write({b"numbers/2": payload}, StoreMeta("c", 0, 0, 0, 0, 0, 0.0))
    with pytest.raises(ColdRowsLost, match=r"t\[0\].* 6 rows .* for 'numbers/2'.*restart") as caught:
        change(numbers, (b"8", b"80"), (b"2", b"20"))
    assert caught.value.rows == 6
    assert not numbers.has_news, "no later checkpoint may save half a batch"
    with pytest.raises(ColdRowsLost):
        list(table_of(numbers).items())


def test_with_a_bad_store_nothing_leaves_memory(numbers: PartitionTask) -> None:
    change(numbers, *((b"%d" % number, b"1") for number in range(10)))
    pending = numbers.begin_checkpoint()
    numbers.store.drop("the disk is full")
    numbers.make_room(0, pending.changes)
    assert len(table_of(numbers).rows) == 10


def test_rows_of_another_shape_are_refused_even_if_they_stay_cold(tmp_path: Path) -> None:
    class Looks(EvictableNumbers):
        def restored(self) -> None:
            list(self.numbers.items())

    rows = {b"numbers/0": b"\x91\x01", b"numbers/1": b"\xc1"}
    hashes, digest = hash_rows(rows)
    store = LocalStore(tmp_path / "0", "t", 0)
    store.write(rows, StoreMeta("c", 0, 0, 0, 2, digest, 0.0))
    task = PartitionTask(
        table="t", topic="source", partition=0, fold=Looks(), store=store, position=0, epoch=0
    )
    with pytest.raises(RowsUnreadable, match="a row cannot be decoded"):
        task.fill(rows, hashes, digest, limit=1)


class FullDisk(LocalStore):
    """Reads, and cannot be written."""

    def write(self, changes: Mapping[bytes, bytes | None], meta: StoreMeta) -> None:
        self.drop("the disk is full")
        raise StoreDamaged("the disk is full")


@pytest.mark.parametrize("limit", [1, 2])
def test_a_disk_that_fails_between_reading_and_writing_costs_a_start_if_rows_were_left_there(
    tmp_path: Path, limit: int
) -> None:
    rows = {b"numbers/0": b"\x91\x01", b"numbers/1": b"\x91\x01"}
    store = LocalStore(tmp_path / "0", "t", 0)
    mark = Mark(0, 5, 2, hash_rows(rows)[1])
    store.write(rows, StoreMeta("c", 0, 5, 6, mark.rows, mark.digest, 0.0))
    store.close()
    full = FullDisk(tmp_path / "0", "t", 0)
    found = full.load({b"numbers/": limit})
    assert found is not None
    replay = Replay.after(mark, 6, found.rows)
    with pytest.raises(ColdRowsLost, match="1 rows") if limit == 1 else contextlib.nullcontext():
        bring_up_to_date(full, replay, mark, "c")
    assert full.failure == "the disk is full"


def test_a_fold_that_raises_is_told_from_a_store_that_fails(numbers: PartitionTask) -> None:
    with pytest.raises(FoldFailed):
        change(numbers, (b"2", b"no number"))
