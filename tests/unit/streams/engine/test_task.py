"""A partition task: rows and position move together, and a checkpoint takes exactly what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from models.fold import Output, Record
from streams.batches import RecordBatch
from streams.engine.changelog import hash_rows, row_key
from streams.engine.errors import FoldFailed, PartitionPoisoned, RowsUnreadable
from streams.engine.store import LocalStore
from streams.engine.task import PartitionTask
from tests.unit.streams.engine.folds import NumbersFold, log_of


def task_at(position: int, fold: NumbersFold | None = None) -> PartitionTask:
    return PartitionTask(
        table="t",
        topic="source",
        partition=3,
        fold=fold or NumbersFold(),
        store=LocalStore(Path("/nonexistent"), "t", 3),
        position=position,
        epoch=40,
    )


def batch(start: int, *pairs: tuple[bytes, bytes | None]) -> RecordBatch:
    records = log_of(pairs, start)
    return RecordBatch("source", 3, start, start + len(records), records, start + len(records) + 5)


def test_a_batch_moves_rows_and_position_together() -> None:
    task = task_at(10)
    records, outputs = task.fold_batch(batch(10, (b"a", b"1"), (b"b", b"2")))
    assert (len(records), len(outputs)) == (2, 2)
    assert task.position == 12
    assert task.lag == 5


def test_records_folded_before_are_not_folded_again() -> None:
    task = task_at(11)
    records, _ = task.fold_batch(batch(10, (b"a", b"1"), (b"b", b"2")))
    assert [record.offset for record in records] == [11]


def test_a_gap_at_the_end_of_a_batch_is_part_of_it() -> None:
    """Control records and compacted ones have offsets, but no record."""
    task = task_at(10)
    task.fold_batch(RecordBatch("source", 3, 10, 20, log_of([(b"a", b"1")], 10), 20))
    assert task.position == 20


def test_a_fold_that_raises_poisons_its_partition_for_good() -> None:
    class Fails(NumbersFold):
        def fold(self, records: Sequence[Record]) -> list[Output]:
            super().fold(records[:1])
            raise ValueError("half way")

    task = task_at(10, Fails())
    with pytest.raises(FoldFailed, match="records 10 to 11") as caught:
        task.fold_batch(batch(10, (b"a", b"1"), (b"b", b"2")))
    assert (caught.value.table, caught.value.partition, caught.value.start) == ("t", 3, 10)
    assert not task.has_news, "no later checkpoint may save half a batch"
    with pytest.raises(PartitionPoisoned):
        task.fold_batch(batch(10, (b"a", b"1")))


def test_a_checkpoint_takes_what_changed_and_only_that() -> None:
    task = task_at(0)
    task.fold_batch(batch(0, (b"a", b"1"), (b"b", b"2")))
    task.begin_checkpoint()
    task.fold_batch(batch(2, (b"b", b"3"), (b"a", None)))
    pending = task.begin_checkpoint()
    assert set(pending.changes) == {b"numbers/b", b"numbers/a"}
    assert pending.changes[b"numbers/a"] is None
    assert pending.mark.position == 4
    assert pending.mark.rows == 1


def test_count_and_digest_follow_the_rows() -> None:
    task = task_at(0)
    for number in range(20):
        key = b"%d" % (number % 7)
        task.fold_batch(batch(number, (key, None if number % 3 == 0 else b"%d" % number)))
        pending = task.begin_checkpoint()
        fold = task.fold
        assert isinstance(fold, NumbersFold)
        rows = {row_key("numbers", name): fold.numbers.encode(row) for name, row in fold.numbers.rows.items()}
        assert (pending.mark.rows, pending.mark.digest) == (len(rows), hash_rows(rows)[1])


def test_rows_that_are_born_and_die_between_checkpoints_leave_no_trace() -> None:
    task = task_at(0)
    task.fold_batch(batch(0, (b"a", b"1"), (b"a", None)))
    assert not task.begin_checkpoint().changes


def test_a_deletion_is_followed_by_its_tombstone_one_checkpoint_later() -> None:
    task = task_at(0)
    task.fold_batch(batch(0, (b"a", b"1")))
    task.begin_checkpoint()
    task.fold_batch(batch(1, (b"a", None)))
    assert not task.begin_checkpoint().tombstones
    assert task.begin_checkpoint().tombstones == [b"numbers/a"]
    assert not task.begin_checkpoint().tombstones


def test_a_row_that_came_back_gets_no_tombstone() -> None:
    task = task_at(0)
    task.fold_batch(batch(0, (b"a", b"1")))
    task.begin_checkpoint()
    task.fold_batch(batch(1, (b"a", None)))
    task.begin_checkpoint()
    task.fold_batch(batch(2, (b"a", b"2")))
    assert not task.begin_checkpoint().tombstones


def test_repairs_are_rewritten_even_if_the_row_is_gone() -> None:
    task = task_at(0)
    task.fold_batch(batch(0, (b"a", b"1")))
    task.begin_checkpoint()
    task.saved_position = task.position
    assert not task.has_news
    task.repairs = {b"numbers/a": None, b"numbers/never": None}
    assert task.has_news
    changes = task.begin_checkpoint().changes
    assert changes[b"numbers/a"] is not None
    assert changes[b"numbers/never"] is None


def test_restored_rows_are_not_dirty() -> None:
    task = task_at(5)
    rows = {b"numbers/a": NumbersFold().numbers.encode(_number(1))}
    task.fill(rows, *hash_rows(rows))
    task.saved_position = 5
    assert not task.has_news
    assert not task.begin_checkpoint().changes


@pytest.mark.parametrize(
    ("key", "payload"), [(b"numbers/a", b"\xc1"), (b"numbers/a", b"\x91\xa1x"), (b"letters/a", b"\x91\x01")]
)
def test_rows_of_another_shape_are_refused_by_name(key: bytes, payload: bytes) -> None:
    with pytest.raises(RowsUnreadable, match=r"t\[3\]: row '[a-z]+/a' cannot"):
        task_at(5).fill({key: payload}, {}, 0)


def _number(value: int) -> object:
    return NumbersFold().numbers.row_type(value)
