"""P8: a damaged or lost local store never yields fewer rows, or other rows. It is whole, or it is dropped."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from streams.engine.changelog import hash_rows
from streams.engine.errors import StoreInUse
from streams.engine.store import LocalStore, StoreDamaged, StoreMeta

ROWS = {b"t/%05d" % i: random.Random(i).randbytes(200) for i in range(3000)}


def meta_of(rows: dict[bytes, bytes], position: int = 7) -> StoreMeta:
    return StoreMeta(
        changelog="c",
        epoch=1,
        position=position,
        changelog_offset=9,
        rows=len(rows),
        digest=hash_rows(rows)[1],
        saved_at=0.0,
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "folds" / "t" / "0", "t", 0)


@pytest.fixture
def filled(store: LocalStore) -> LocalStore:
    """Closed, with its rows flushed to SST files."""
    store.write(dict(ROWS), meta_of(ROWS))
    assert store._database is not None
    store._database.flush()
    store.close()
    return store


def test_what_was_written_is_loaded_again(filled: LocalStore) -> None:
    snapshot = filled.load()
    assert snapshot is not None
    assert snapshot.rows == ROWS
    assert snapshot.meta == meta_of(ROWS)
    assert snapshot.hashes == hash_rows(ROWS)[0]


def test_a_checkpoint_changes_and_deletes_rows_together_with_its_description(filled: LocalStore) -> None:
    rows = {**ROWS, b"t/new": b"1"}
    del rows[b"t/00005"]
    filled.write({b"t/new": b"1", b"t/00005": None}, meta_of(rows, position=8))
    filled.close()
    snapshot = filled.load()
    assert snapshot is not None
    assert snapshot.rows == rows
    assert snapshot.meta.position == 8


def test_a_store_that_never_was_is_simply_empty(store: LocalStore) -> None:
    assert store.load() is None
    assert not store.directory.exists()


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_in_a_table_file_are_noticed_or_harmless(filled: LocalStore, seed: int) -> None:
    rng = random.Random(seed)
    victim = max(filled.directory.glob("*.sst"), key=lambda path: path.stat().st_size)
    damaged = bytearray(victim.read_bytes())
    for at in rng.sample(range(len(damaged)), 16):
        damaged[at] ^= 0xFF
    victim.write_bytes(damaged)
    load_is_whole_or_refused(filled)


def test_flipped_bytes_in_the_rows_are_noticed(filled: LocalStore) -> None:
    victim = max(filled.directory.glob("*.sst"), key=lambda path: path.stat().st_size)
    damaged = bytearray(victim.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 16] = bytes(16)
    victim.write_bytes(damaged)
    with pytest.raises(StoreDamaged, match="cannot be read"):
        filled.load()


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT", "*.log"])
def test_a_deleted_file_never_gives_fewer_rows(filled: LocalStore, pattern: str) -> None:
    for path in filled.directory.glob(pattern):
        path.unlink()
    load_is_whole_or_refused(filled)


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT", "*.log"])
def test_a_truncated_file_never_gives_fewer_rows(filled: LocalStore, pattern: str) -> None:
    for path in filled.directory.glob(pattern):
        os.truncate(path, path.stat().st_size // 2)
    load_is_whole_or_refused(filled)


def test_a_write_ahead_log_cut_short_gives_an_older_whole_state(store: LocalStore) -> None:
    store.write(dict(ROWS), meta_of(ROWS))
    store.write({b"t/new": b"1"}, meta_of({**ROWS, b"t/new": b"1"}, position=8))
    store.close()
    [log] = [path for path in store.directory.glob("*.log") if path.stat().st_size] or [None]
    if log is not None:  # RocksDB may have flushed on close
        os.truncate(log, log.stat().st_size - 10)
    snapshot = store.load()
    assert snapshot is not None
    assert snapshot.meta.position in (7, 8)
    assert len(snapshot.rows) == len(ROWS) + (snapshot.meta.position == 8)


def test_rows_that_do_not_fit_their_description_are_refused(store: LocalStore) -> None:
    store.write({b"t/a": b"1"}, meta_of({b"t/a": b"1", b"t/b": b"2"}))
    store.close()
    with pytest.raises(StoreDamaged, match="it holds 1 rows"):
        store.load()


def test_rows_with_other_content_are_refused(store: LocalStore) -> None:
    store.write({b"t/a": b"1"}, meta_of({b"t/a": b"2"}))
    store.close()
    with pytest.raises(StoreDamaged, match="digest"):
        store.load()


def test_a_failed_write_drops_the_store_and_says_why(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "folds").write_text("a file where a directory should be")
    with pytest.raises(StoreDamaged, match="write failed"):
        store.write({b"t/a": b"1"}, meta_of({b"t/a": b"1"}))
    assert store.failure is not None


def test_a_dropped_store_leaves_nothing_behind(filled: LocalStore) -> None:
    filled.drop("as a test")
    assert not filled.directory.exists()
    assert filled.load() is None


def test_a_store_that_another_process_has_open_is_refused_and_left_alone(filled: LocalStore) -> None:
    program = (
        "import sys; from rocksdict import Rdict, Options; "
        f"db = Rdict({str(filled.directory)!r}, Options(raw_mode=True)); print('open', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreInUse, match="data directory of its own"):
            filled.load()
        other.communicate()
    assert filled.load() is not None


def load_is_whole_or_refused(store: LocalStore) -> None:
    """Either all rows, or a refusal: what RocksDB hides when it ends a scan early is noticed."""
    try:
        snapshot = store.load()
    except StoreDamaged:
        return
    # ``None`` means that nothing is known locally, and all of the changelog is read.
    assert snapshot is None or snapshot.rows == ROWS


def test_a_full_disk_cannot_keep_a_store_from_closing(store: LocalStore) -> None:
    """Closing flushes; a hand-over or a stop must not fail for the sake of a cache."""
    store.write(dict(ROWS), meta_of(ROWS))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.failure is not None
    assert "closing failed" in store.failure
    assert LocalStore(store.directory, "t", 0).load() is None, "what may be torn is gone"
