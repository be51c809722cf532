"""Floods of one kind of record: each is counted, and none makes the state or the outputs grow with its length."""

from __future__ import annotations

import gc
import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson
import pytest

from models.fleet_records import WindowClosed
from models.fold import LogRecord
from models.ingress import IngressFold
from tests.support.nasty_records import beat
from tests.unit.models.ingress.world import START, TICK, fleet_records, snapshot

LENGTH = 3_000
GROWTH = 32 << 10
"""Bytes that the second, longer part of a flood may add to what its first left: a few hundred records' worth."""
PER_SECOND = 200


@dataclass(frozen=True, slots=True)
class Flooded:
    fold: IngressFold
    outcomes: dict[str, int]
    """Of the flood alone, ticks left out."""
    outputs: int
    told_late: int
    """Events that the closed windows said they had missed."""
    grown: int
    """Bytes of memory after the whole flood more than after its first fifth."""
    rows_grown: int
    """The same of the encoded rows: what the changelog and the local store hold."""


def flood(values: Iterable[object]) -> Flooded:
    """One agent that is known, then the flood; a tick each second, in batches as a worker reads them."""
    fold = IngressFold(0, {"events": 1, "fleet": 1})
    offsets = itertools.count()
    introduction = {"type": "agent_registered", "agent_id": "a1", "incarnation": 1, "seq": 7}
    fold.fold([LogRecord(next(offsets), START, None, orjson.dumps(introduction))])
    before = dict(fold.outcomes)
    outputs = told_late = 0
    tracemalloc.start()
    try:
        for number, value in enumerate(values):
            if number == LENGTH // 5:
                rows = size_of_rows(fold)
                gc.collect()
                memory = tracemalloc.get_traced_memory()[0]
            now = START + number * 1_000 // PER_SECOND
            raw = value if isinstance(value, bytes) else orjson.dumps(value)
            batch = [LogRecord(next(offsets), now, None, raw)]
            if number % PER_SECOND == 0:
                batch.append(LogRecord(next(offsets), now, None, orjson.dumps(TICK)))
            caused = fold.fold(batch)
            outputs += len(caused)
            windows = [one for one in fleet_records(caused) if isinstance(one, WindowClosed)]
            told_late += sum(window.late for window in windows)
            for table in fold.tables.values():
                table.dirty.clear()  # as a checkpoint does
        rows_grown = size_of_rows(fold) - rows
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()
    fold.validate()
    outcomes = {name: count - before[name] for name, count in fold.outcomes.items() if name != "tick"}
    outcomes = {name: count for name, count in outcomes.items() if count}
    return Flooded(fold, outcomes, outputs, told_late, grown, rows_grown)


def size_of_rows(fold: IngressFold) -> int:
    """As a checkpoint encodes them, which also adds what waits to be added: a bounded number of samples."""
    return sum(len(row) for rows in snapshot(fold).values() for row in rows.values())


def metric(time: float | None, name: str = "cpu") -> dict[str, object]:
    event: dict[str, object] = {"type": "metric_report", "agent_id": "a1", "metrics": {name: 1}}
    return event if time is None else {**event, "time": time}


def now(number: int) -> float:
    return START / 1000 + number / PER_SECOND


def late(number: int) -> dict[str, object]:
    """One sample ahead of time moves the watermark; the others are as old as is believed: too late by then."""
    return metric(now(number) + 5 if number % 50 == 0 else now(number) - 3600)


def any_time(number: int, latest: float = 4e9) -> float:
    return random.Random(number).uniform(0, latest)


FLOODS: dict[str, tuple[Callable[[int], object], str]] = {
    "repeats of one event": (lambda _: beat(more=b',"incarnation":1,"seq":7'), "duplicate"),
    "repeats of an earlier life": (lambda _: beat(more=b',"incarnation":0,"seq":9'), "duplicate"),
    "events of tomorrow": (lambda number: metric(now(number) + 86_400), "applied"),
    "events of any time ahead": (lambda number: metric(now(number) + any_time(number, 1e7)), "applied"),
    "one hot key, its beats": (lambda _: beat(more=b',"current_load":0.5'), "applied"),
    "one hot key, its metrics": (lambda _: metric(None), "applied"),
    "one hot key, counting": (lambda number: beat(more=b',"seq":%d' % (number + 8)), "applied"),
    "rubbish": (lambda _: b"{", "dead_lettered"),
    "refusals": (lambda _: {"type": "agent_cordoned", "agent_id": "ghost"}, "rejected"),
    "forged ticks": (lambda _: TICK, "tick"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_is_counted_and_leaves_nothing_that_grows_with_it(name: str) -> None:
    make, outcome = FLOODS[name]
    flooded = flood(make(number) for number in range(LENGTH))
    if outcome == "tick":
        assert flooded.outcomes == {}
        assert flooded.fold.status().ticks <= LENGTH // PER_SECOND + 1, "forged ones have no power"
    else:
        assert flooded.outcomes == {outcome: LENGTH}
    assert flooded.grown < GROWTH
    assert flooded.rows_grown < 4_096
    letters = flooded.outcomes.get("dead_lettered", 0)
    assert flooded.outputs - letters < 8 * LENGTH // PER_SECOND, "a few each second, and each letter"


@pytest.mark.parametrize("make", [late, lambda number: metric(any_time(number))], ids=["late", "any"])
def test_flood_of_late_events_is_counted_and_told_by_their_windows(make: Callable[[int], object]) -> None:
    flooded = flood(make(number) for number in range(LENGTH))
    assert flooded.outcomes.keys() == {"applied", "late"}
    assert sum(flooded.outcomes.values()) == LENGTH
    untold = flooded.fold.tables["fleets"].rows["default"].late  # type: ignore[attr-defined]
    assert flooded.told_late + untold == flooded.outcomes["late"] > LENGTH // 20
    assert flooded.grown < GROWTH
    assert flooded.rows_grown < 4_096


def test_metrics_of_ever_new_names_are_refused_beyond_a_bound_and_forgotten_with_their_window() -> None:
    flooded = flood(metric(None, f"m{number}") for number in range(LENGTH))
    assert set(flooded.outcomes) == {"applied", "rejected"}
    rows = flooded.fold.tables["agents"].rows.values()
    windows = [window for row in rows for window in row.windows()]  # type: ignore[attr-defined]
    assert all(len(window.metrics.split()) <= 1_024 for window in windows)
    assert len(windows) <= 4
