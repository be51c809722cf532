"""The digest of the state: kept up to date or made anew, it is the same; and whatever decides changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from models.fleet import FleetFold
from models.fleet.rows import EndedTaskRow, SourceRow
from models.fleet.seal import SummedTable, WriteOnceTable, row_hash
from models.fold import LogRecord
from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of
from tests.unit.models.fleet.strategies import EVENTS_PARTITIONS, logs


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def seals_of(log: list[LogRecord], fold: FleetFold, batch: int) -> list[tuple[int, bytes]]:
    seen: list[tuple[int, bytes]] = []
    fold.on_seal = lambda sealed: seen.append((sealed.state.clock.sealed, sealed.state.clock.digest))
    for start in range(0, len(log), batch):
        fold.fold(log[start : start + batch])
    return seen


@settings(max_examples=40, deadline=None)
@given(logs())
def test_whoever_folds_takes_the_same_digests(log: list[LogRecord]) -> None:
    whole = seals_of(log, FleetFold(0, EVENTS_PARTITIONS), len(log) or 1)
    assert seals_of(log, FleetFold(0, EVENTS_PARTITIONS), 1) == whole
    first = FleetFold(0, EVENTS_PARTITIONS)
    seen = seals_of(log[: len(log) // 2], first, 3)
    second = restored_from(rows_of(first), EVENTS_PARTITIONS)
    assert second.state.digest() == first.state.digest()
    assert seen + seals_of(log[len(log) // 2 :], second, 7) == whole


def test_the_state_is_sealed_once_a_second_of_fleet_time(log: FleetLog) -> None:
    log.tick()
    first = log.fold.state.clock.sealed
    assert first == len(log.log)
    log.wait(500)
    assert log.fold.state.clock.sealed == first
    log.wait(500)
    assert log.fold.state.clock.sealed == len(log.log)


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log.agent("a9"),
        lambda log: log.task("t9"),
        lambda log: log.fact("agent_cordoned", agent_id="a1"),
        lambda log: log.fact("policy_changed", policy={"planning": {"ageing": 7}}, version=3),
    ],
)
def test_what_decides_is_in_it(log: FleetLog, change: Callable[[FleetLog], Any]) -> None:
    log.agent()
    before = log.fold.state.digest()
    change(log)
    assert log.fold.state.digest() != before


def test_the_same_record_once_more_is_not(log: FleetLog) -> None:
    log.agent()
    before = log.fold.state.digest()
    last = log.log[-1]
    log.fold.fold([LogRecord(len(log.log), last.timestamp, last.key, last.value)])
    assert log.fold.state.digest() == before


def test_a_row_hashes_to_this() -> None:
    # printf 'tasks\0default/t1\0row' | xxhsum -H2
    assert f"{row_hash('tasks', 'default/t1', b'row'):032x}" == "a6adfcdce9b54797ca3db384de252f6e"


def ended(forget_at: int) -> EndedTaskRow:
    return EndedTaskRow("completed", b"", 0, 1, 1, None, None, 0, forget_at)


def test_rows_that_are_written_once_are_summed_as_others() -> None:
    once, kept = (
        WriteOnceTable("ended_tasks", EndedTaskRow, "forget_at", "task"),
        SummedTable("ended_tasks", EndedTaskRow),
    )
    for number, key in enumerate(["a", "b", "a", "c", "b"]):
        for table in (once, kept):
            table.put(key, ended(number))
        if number % 2:
            assert once.total() == kept.total()
    for key in ["c", "unknown", "a", "c"]:
        once.delete(key)
        kept.delete(key)
        assert once.total() == kept.total() != 0
    once.delete("b")
    kept.put("d", ended(9))
    kept.delete("b")
    kept.delete("d")
    assert once.total() == kept.total() == 0
    assert list(once.dirty) == ["a", "b", "c"]
    with pytest.raises(TypeError, match="never changed in place"):
        once.touch("a")


def test_a_row_that_is_changed_and_touched_is_summed_anew() -> None:
    table = SummedTable("sources", SourceRow)
    row = table.put("0", SourceRow())
    before = table.total()
    row.offset = 4
    assert table.total() == before, "nobody has said that it changed"
    table.touch("0")
    assert table.total() == row_hash("sources", "0", table.encode(row)) != before
