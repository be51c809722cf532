"""The rules by which a changelog is read, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fold import LogRecord
from streams.engine import changelog
from streams.engine.changelog import Mark, Replay
from tests.unit.streams.engine.changelog_world import World
from tests.unit.streams.engine.folds import log_of

FENCE = (b"\0fence/1", b"{}")


def row(key: str, epoch: int, position: int, payload: bytes = b"x") -> tuple[bytes, bytes]:
    return changelog.row_key("t", key), changelog.row_header(epoch, position) + payload


def mark(epoch: int, position: int, rows: dict[str, bytes], turn: int = 0) -> tuple[bytes, bytes]:
    _, digest = changelog.hash_rows({changelog.row_key("t", key): value for key, value in rows.items()})
    return changelog.mark_key(epoch, turn), changelog.mark_value(Mark(epoch, position, len(rows), digest))


def replay(*pairs: tuple[bytes, bytes | None]) -> Replay:
    """Of these records behind a first fence, up to a last one."""
    records = log_of([FENCE, *pairs, (b"\0fence/last", b"{}")])
    result = Replay()
    assert result.apply(records, records[-1].offset)
    return result


def test_rows_count_when_their_mark_follows() -> None:
    result = replay(row("a", 0, 5), mark(0, 5, {"a": b"x"}))
    assert result.rows == {b"t/a": b"x"}
    assert result.mark is not None
    assert result.mark.position == 5
    assert result.proves_itself(changelog.hash_rows(result.rows)[1])


def test_rows_without_their_mark_do_not_count_and_want_repair() -> None:
    result = replay(row("a", 0, 5), mark(0, 5, {"a": b"x"}), row("a", 0, 9, b"torn"), row("b", 0, 9))
    assert result.rows == {b"t/a": b"x"}
    assert list(result.repairs) == [b"t/a", b"t/b"]


def test_rows_of_a_fenced_owner_do_not_count_and_want_repair() -> None:
    records = [row("a", 0, 5), mark(0, 5, {"a": b"x"}), (b"\0fence/2", b"{}")]
    late = [row("a", 0, 9, b"late"), mark(0, 9, {"a": b"late"}, turn=1)]
    result = replay(*records, *late)
    assert result.rows == {b"t/a": b"x"}
    assert list(result.repairs) == [b"t/a"]
    assert result.mark is not None
    assert result.mark.position == 5


def test_a_header_without_payload_deletes_and_wants_a_tombstone() -> None:
    result = replay(row("a", 0, 5), row("b", 0, 5), row("a", 0, 6, b""), mark(0, 6, {"b": b"x"}))
    assert result.rows == {b"t/b": b"x"}
    assert list(result.deleted) == [b"t/a"]


def test_a_tombstone_behind_a_living_row_deletes_nothing_and_wants_repair() -> None:
    result = replay(row("a", 0, 5), mark(0, 5, {"a": b"x"}), (b"t/a", None))
    assert result.rows == {b"t/a": b"x"}
    assert list(result.repairs) == [b"t/a"]


def test_reading_ends_at_the_own_fence() -> None:
    result = Replay()
    records = log_of([FENCE, row("a", 0, 5), mark(0, 5, {"a": b"x"}), FENCE, row("b", 3, 6), mark(3, 6, {})])
    assert result.apply(records, own_fence=3)
    assert result.rows == {b"t/a": b"x"}


def test_an_unfinished_read_says_so() -> None:
    assert not Replay().apply(log_of([FENCE, row("a", 0, 5)]), own_fence=7)


def test_a_replay_continues_behind_a_local_copy() -> None:
    start = Mark(epoch=4, position=7, rows=1, digest=0)
    result = Replay.after(start, 10, {b"t/a": b"x"})
    late_rows = [row("a", 3, 6, b"older owner"), row("b", 4, 8), mark(4, 8, {"a": b"x", "b": b"x"})]
    assert not result.apply(log_of(late_rows, start=10), own_fence=50)
    assert result.rows == {b"t/a": b"x", b"t/b": b"x"}
    assert list(result.changed) == [b"t/b"]
    assert result.after_mark == 13


def test_a_lost_row_is_noticed() -> None:
    result = replay(mark(0, 5, {"a": b"x"}))
    assert not result.proves_itself(changelog.hash_rows(result.rows)[1])


def test_a_changed_row_is_noticed() -> None:
    result = replay(row("a", 0, 5, b"y"), mark(0, 5, {"a": b"x"}))
    assert not result.proves_itself(changelog.hash_rows(result.rows)[1])


def test_foreign_rows_end_no_ownership_but_a_foreign_fence_does() -> None:
    rows = [LogRecord(8, 0, *row("a", 0, 5)), LogRecord(9, 0, *mark(0, 5, {}))]
    assert changelog.intruders(rows, epoch=7) == (False, {b"t/a": None})
    fenced, _ = changelog.intruders([*rows, LogRecord(10, 0, *FENCE)], epoch=7)
    assert fenced


def test_the_last_mark_of_a_fenced_owner_survives_its_late_mark_under_compaction() -> None:
    world = World()
    world.fold([(b"a", b"1")])
    world.checkpoint()
    world.pause()
    world.take_over()
    world.fold([(b"b", b"2")], world.zombies[0])
    world.zombie_writes()
    world.fold([(b"c", b"3")])
    world.checkpoint()  # notices the zombie
    world.checkpoint()  # repairs
    world.compact(world.safe_to_compact)
    world.check()


def test_the_late_tombstone_of_a_fenced_owner_deletes_nothing_under_compaction() -> None:
    world = World()
    world.fold([(b"a", b"1")])
    world.checkpoint()
    world.fold([(b"a", None)])
    world.checkpoint()
    world.pause()  # with a tombstone due
    world.take_over()
    world.fold([(b"a", b"2")])
    world.checkpoint()
    world.fold([(b"b", b"3")], world.zombies[0])
    world.zombie_writes()
    world.check()
    world.checkpoint()
    world.checkpoint()
    world.compact(world.safe_to_compact)
    world.check()


def test_fences_never_share_a_key_so_compaction_keeps_them() -> None:
    assert changelog.fence_key() != changelog.fence_key()


@given(
    st.dictionaries(st.binary(max_size=6), st.binary(max_size=6), max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_digest_depends_on_rows_and_not_on_their_order(rows: dict[bytes, bytes], random: object) -> None:
    items = list(rows.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert changelog.hash_rows(dict(items))[1] == changelog.hash_rows(rows)[1]


@pytest.mark.parametrize(("one", "other"), [((b"ab", b"c"), (b"a", b"bc")), ((b"a", b""), (b"", b"a"))])
def test_key_and_payload_cannot_be_shifted_into_each_other(
    one: tuple[bytes, bytes], other: tuple[bytes, bytes]
) -> None:
    assert changelog.row_hash(*one) != changelog.row_hash(*other)


@given(st.text(min_size=1).filter(lambda name: "/" not in name), st.text())
def test_row_keys_come_apart_as_they_were_joined(table: str, key: str) -> None:
    assert changelog.split_row_key(changelog.row_key(table, key)) == (table, key)
