"""P8, block by block: whichever part of a local store is damaged, it is whole, an older whole one, or refused.

The store is as a killed worker leaves it: several table files, and a write-ahead log that was not flushed.
``COORDINATOR_LONG_TESTS`` damages every block, each way; the short form draws some.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.engine.changelog import hash_rows
from streams.engine.store import LocalStore, StoreDamaged, StoreMeta

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
BLOCK = 4096
DRAWN = 25
CHECKPOINTS = 6

Rows = dict[bytes, bytes]
States = dict[int, Rows]
"""What was whole at each position."""


def meta_of(rows: Rows, position: int) -> StoreMeta:
    return StoreMeta(
        changelog="c",
        epoch=1,
        position=position,
        changelog_offset=position + 9,
        rows=len(rows),
        digest=hash_rows(rows)[1],
        saved_at=0.0,
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, States]:
    """The directory of a store whose process was killed, and its states."""
    directory = tmp_path_factory.mktemp("killed")
    chance = random.Random(1)
    store = LocalStore(directory / "alive", "t", 0)
    rows: Rows = {}
    states: States = {}
    for position in range(CHECKPOINTS):
        changes: dict[bytes, bytes | None] = {
            b"t/%04d" % number: chance.randbytes(150) for number in chance.sample(range(900), 300)
        }
        changes |= dict.fromkeys(chance.sample(sorted(rows), min(20, len(rows))))
        rows = {key: row for key, row in {**rows, **changes}.items() if row is not None}
        store.write(changes, meta_of(rows, position))
        states[position] = rows
        if position in (1, 3):
            assert store._database is not None
            store._database.flush()
    shutil.copytree(directory / "alive", directory / "dead")
    store.close()
    assert len(list((directory / "dead").glob("*.sst"))) == 2
    return directory / "dead", states


def blocks(directory: Path) -> list[tuple[str, int]]:
    """File and offset of each."""
    return [
        (path.name, at)
        for path in sorted(directory.iterdir())
        if path.name not in ("LOCK", "LOG")
        for at in range(0, path.stat().st_size, BLOCK)
    ]


def drawn(directory: Path, seed: int) -> list[tuple[str, int]]:
    """Some blocks of every file, or all."""
    every = blocks(directory)
    if LONG:
        return every
    first = {name: (name, at) for name, at in reversed(every)}
    rest = [block for block in every if block not in first.values()]
    return [*first.values(), *random.Random(seed).sample(rest, DRAWN - len(first))]


def damaged_in_turn(
    killed: Path, scratch: Path, damage: Callable[[bytearray, int], bytes], seed: int
) -> Iterator[tuple[LocalStore, str]]:
    """A fresh copy of the store for each block, damaged there."""
    for number, (name, at) in enumerate(drawn(killed, seed)):
        copy = scratch / str(number)
        shutil.copytree(killed, copy)
        content = bytearray((copy / name).read_bytes())
        (copy / name).write_bytes(damage(content, at))
        yield LocalStore(copy, "t", 0), f"{name} at {at}"
        shutil.rmtree(copy, ignore_errors=True)


def flipped(content: bytearray, at: int) -> bytes:
    content[at : at + BLOCK] = bytes(byte ^ 0xFF for byte in content[at : at + BLOCK])
    return bytes(content)


def zeroed(content: bytearray, at: int) -> bytes:
    size = len(content)
    content[at : at + BLOCK] = bytes(min(BLOCK, size - at))
    return bytes(content)


def one_bit(content: bytearray, at: int) -> bytes:
    place = random.Random(at).randrange(at, min(at + BLOCK, len(content)))
    content[place] ^= 1 << place % 8
    return bytes(content)


def cut_off(content: bytearray, at: int) -> bytes:
    return bytes(content[:at])


def misplaced(content: bytearray, at: int) -> bytes:
    """The block holds what belongs elsewhere in the file, as after a misdirected write."""
    elsewhere = (at + len(content) // BLOCK // 2 * BLOCK) % max(len(content), 1) // BLOCK * BLOCK
    other = content[elsewhere : elsewhere + BLOCK]
    content[at : at + len(other)] = other
    return bytes(content)


@pytest.mark.parametrize("damage", [flipped, zeroed, one_bit, cut_off, misplaced])
@pytest.mark.timeout(1800 if LONG else 120)
def test_a_store_with_any_block_damaged_is_whole_or_refused_and_can_be_made_anew(
    killed: tuple[Path, States], tmp_path: Path, damage: Callable[[bytearray, int], bytes]
) -> None:
    directory, states = killed
    refused = 0
    for store, where in damaged_in_turn(directory, tmp_path, damage, seed=len(damage.__name__)):
        try:
            snapshot = store.load()
        except StoreDamaged as error:
            refused += 1
            store.drop(str(error))
            assert not store.directory.exists(), where
            assert store.load() is None, where
            snapshot = None
        if snapshot is not None:
            assert snapshot.rows == states[snapshot.meta.position], where
            assert snapshot.meta == meta_of(snapshot.rows, snapshot.meta.position), where
        # Empty, as after a drop, or with an older state: the changelog's state is written over it.
        last = states[CHECKPOINTS - 1]
        known = {} if snapshot is None else snapshot.rows
        changes: dict[bytes, bytes | None] = dict(last)
        changes |= {key: None for key in known if key not in last}
        try:
            store.write(changes, meta_of(last, CHECKPOINTS))
        except StoreDamaged:
            assert not store.directory.exists(), where
            continue
        store.close()
        again = LocalStore(store.directory, "t", 0)
        try:
            reread = again.load()
        except StoreDamaged:
            continue  # damage that only showed now
        finally:
            again.close()
        assert reread is not None, where
        assert reread.rows == last, where
    assert refused > 0


def test_undamaged_it_is_the_last_state(killed: tuple[Path, States], tmp_path: Path) -> None:
    directory, states = killed
    shutil.copytree(directory, tmp_path / "copy")
    store = LocalStore(tmp_path / "copy", "t", 0)
    snapshot = store.load()
    store.close()
    assert snapshot is not None
    assert snapshot.rows == states[CHECKPOINTS - 1]
