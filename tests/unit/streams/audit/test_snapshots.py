"""Whatever snapshots there are, and whatever was done to them, the state at a cut is that of a fold from zero."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from models.cut import Cut, Place
from models.fleet import FleetFold
from models.partition import partition_of
from streams.audit.moments import EventTime, InLog
from streams.audit.past import HistoryIncomplete, Log, Past, fleet_at, heard
from streams.audit.snapshots import NO_SNAPSHOTS, Shelf, Snapshot, Snapshots
from streams.offsets import Start
from tests.unit.streams.audit.recorded import FLEETS, START, Recorded, lived

CUTS = 1_000 if os.environ.get("COORDINATOR_LONG_TESTS") else 60
NORTH = Place("coordinator.fleet", partition_of(b"north", FLEETS))


@pytest.fixture(scope="module")
def history() -> Recorded:
    return lived(seed=3, seconds=120)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def snapshots(tmp_path: Path, told: list[str]) -> Snapshots:
    return Snapshots(tmp_path / "snapshots", every=50, told=told.append)


def end_of(history: Recorded) -> int:
    return history.topics["fleet", NORTH.partition][-1].offset + 1


def past(history: Recorded, offset: int, snapshots: Snapshots = NO_SNAPSHOTS) -> Past:
    async def read() -> Past:
        log = await Log.of(history, "north")
        return await fleet_at(log, Cut.of("memory", {NORTH: offset}), snapshots=snapshots)

    return asyncio.run(read())


def shelf_of(snapshots: Snapshots) -> Shelf:
    return snapshots.shelf("memory", NORTH)


def test_the_state_at_any_cut_is_that_of_a_fold_from_zero(history: Recorded, snapshots: Snapshots) -> None:
    end = end_of(history)
    past(history, end, snapshots)
    kept = shelf_of(snapshots).all()
    assert len(kept) >= 5
    chance = random.Random(7)
    records = history.topics["fleet", NORTH.partition]
    fold, at = FleetFold(NORTH.partition, 2, NORTH.topic), 0
    for offset in sorted(chance.randrange(end + 1) for _ in range(CUTS)):
        fold.fold(records[at:offset])
        at = offset
        found = past(history, offset, snapshots)
        assert found.fold.pack() == fold.pack()
        assert found.fold.state.digest() == fold.state.digest()
        behind = max((snapshot.offset for snapshot in kept if snapshot.offset <= offset), default=0)
        assert found.folded == offset - behind, "only what is behind the nearest snapshot was folded"


def test_what_is_folded_on_from_a_snapshot_is_what_would_have_been_put_out(
    history: Recorded, snapshots: Snapshots
) -> None:
    past(history, end_of(history), snapshots)
    outputs: list[list[object]] = []
    for source in (NO_SNAPSHOTS, snapshots):
        seen: list[object] = []

        def listening(fold: FleetFold, seen: list[object] = seen) -> Callable[..., None]:
            return lambda records: seen.extend((fold.fold([record]), record.offset) for record in records)

        async def hear(source: Snapshots = source, listening: Callable[..., object] = listening) -> Past:
            log = await Log.of(history, "north")
            return await heard(log, listening=listening, snapshots=source, since=300)  # type: ignore[arg-type]

        asyncio.run(hear())
        outputs.append([put_out for put_out, offset in seen if offset >= 300])  # type: ignore[misc]
    assert outputs[0] == outputs[1] != []


def damage_rows(snapshot: Snapshot) -> None:
    raw = bytearray(snapshot.path.read_bytes())
    raw[-9] ^= 1
    snapshot.path.write_bytes(raw)


def cut_off(snapshot: Snapshot) -> None:
    raw = snapshot.path.read_bytes()
    snapshot.path.write_bytes(raw[: len(raw) // 2])


def empty(snapshot: Snapshot) -> None:
    snapshot.path.write_bytes(b"")


def of_another_fold(snapshot: Snapshot) -> None:
    raw = snapshot.path.read_bytes()
    snapshot.path.write_bytes(raw.replace(b'"fold":1', b'"fold":0', 1))


def say_another_digest(snapshot: Snapshot) -> None:
    header, _ = snapshot.read()
    raw = snapshot.path.read_bytes()
    snapshot.path.write_bytes(raw.replace(header.digest.encode(), b"0" * 32, 1))


@pytest.mark.parametrize("harm", [damage_rows, cut_off, empty, of_another_fold, say_another_digest])
def test_a_snapshot_that_was_harmed_is_not_believed(
    history: Recorded, snapshots: Snapshots, told: list[str], harm: Callable[[Snapshot], None]
) -> None:
    end = end_of(history)
    past(history, end, snapshots)
    *_, before, last = shelf_of(snapshots).up_to(end)
    del before
    last = next(shelf_of(snapshots).up_to(end))
    harm(last)
    found = past(history, end, snapshots)
    assert found.fold.pack() == past(history, end).fold.pack()
    assert [words for words in told if str(last.path) in words and "not believed" in words]
    assert found.folded > end - last.offset
    assert next(shelf_of(snapshots).up_to(end)).read(), "it was made again on the way"


def make_it_up(snapshot: Snapshot) -> None:
    """Somebody forges a row, and all that the file says of itself."""
    import cramjam
    import msgspec

    from models.fleet import FleetFold

    header, rows = snapshot.read()
    fold = FleetFold(NORTH.partition, 2, NORTH.topic)
    fold.load(rows)
    fold.state.tables.fleets.rows["north"].completed += 1_000
    fold.state.touch_fleet(fold.state.fleets["north"])
    header.digest = fold.state.digest().hex()
    packed = bytes(cramjam.zstd.compress(msgspec.msgpack.encode(fold.pack())))
    header.packed = blake2b(packed, digest_size=32).hexdigest()
    header.chain = header.linked()
    snapshot.path.write_bytes(msgspec.json.encode(header) + b"\n" + packed)


def test_a_state_that_somebody_made_up_is_denied_by_the_log(
    history: Recorded, snapshots: Snapshots, told: list[str]
) -> None:
    end = end_of(history)
    past(history, end, snapshots)
    first = shelf_of(snapshots).all()[0]
    for later in shelf_of(snapshots).all()[1:]:
        later.path.unlink()
    make_it_up(first)
    assert past(history, end, snapshots).fold.pack() == past(history, end).fold.pack()
    assert "was made on another state" in told[0]


def test_a_snapshot_of_a_log_that_was_rewritten_is_not_believed(
    snapshots: Snapshots, told: list[str]
) -> None:
    history = lived(seed=3, seconds=60)
    end = end_of(history)
    past(history, end, snapshots)
    last = next(shelf_of(snapshots).up_to(end))
    place = history.find("fleet", lambda record: False) if False else (NORTH.partition, last.offset - 1)
    history.alter("fleet", place, b'"type"', b'"type" ')
    assert past(history, end, snapshots).fold.pack() == past(history, end).fold.pack()
    assert f"another record stands at offset {last.offset - 1}" in told[0]


def test_where_the_beginning_has_expired_a_snapshot_will_do(history: Recorded, snapshots: Snapshots) -> None:
    end = end_of(history)
    whole = past(history, end, snapshots).fold.pack()
    last = next(shelf_of(snapshots).up_to(end))
    try:
        history.beginnings["fleet", NORTH.partition] = last.offset
        assert past(history, end, snapshots).fold.pack() == whole
        history.beginnings["fleet", NORTH.partition] = last.offset + 1
        with pytest.raises(HistoryIncomplete, match=f"begins at offset {last.offset + 1}"):
            past(history, end, snapshots)
    finally:
        history.beginnings.clear()


def test_a_time_by_events_is_the_same_moment_with_snapshots(history: Recorded, snapshots: Snapshots) -> None:
    async def at(source: Snapshots) -> Past:
        log = await Log.of(history, "north")
        return await fleet_at(log, EventTime(START + 70_000), snapshots=source)

    past(history, end_of(history), snapshots)
    whole, quick = asyncio.run(at(NO_SNAPSHOTS)), asyncio.run(at(snapshots))
    assert (quick.cut, quick.fold.pack()) == (whole.cut, whole.fold.pack())
    assert quick.folded < whole.folded


def test_the_beginning_needs_none(history: Recorded, snapshots: Snapshots) -> None:
    past(history, end_of(history), snapshots)

    async def at() -> Past:
        return await fleet_at(await Log.of(history, "north"), InLog(Start("beginning")), snapshots=snapshots)

    found = asyncio.run(at())
    assert (found.folded, found.cut.get(NORTH), found.fold.state.clock.records) == (0, 0, 0)


def test_where_nothing_can_be_kept_that_is_said_once(
    history: Recorded, tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "file").write_text("no directory")
    end = end_of(history)
    found = past(history, end, Snapshots(tmp_path / "file", 50, told.append))
    assert found.folded == end
    assert len(told) == 1
    assert "no snapshots are kept" in told[0]


def test_what_is_no_snapshot_is_left_alone(history: Recorded, snapshots: Snapshots) -> None:
    past(history, end_of(history), snapshots)
    first = shelf_of(snapshots).all()[0]
    for name in ("notes.txt", "a.b.snapshot", ".00000000000000000050.1.snapshot.77", "1.snapshot"):
        (first.path.parent / name).write_text("mine")
    assert shelf_of(snapshots).all()[0] == first
    assert next(shelf_of(snapshots).up_to(first.offset)) == first
