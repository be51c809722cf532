"""Replays tell of the same records with the same outputs, from where they are asked to, as fast as they are."""

from __future__ import annotations

import asyncio

import pytest

from models.fleet import FleetFold
from models.fold import Output, Record
from streams.audit import replay as module
from streams.audit.replay import Replay, Sandbox
from streams.errors import ConfigurationError
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1", slots=4)
    for number in range(3):
        log.run(f"t{number}")
        log.tick(2_000)
    return log


def replayed(log: FleetLog, first: int, speed: float | None = None) -> list[tuple[int, list[Output]]]:
    told: list[tuple[int, list[Output]]] = []

    async def tell(record: Record, outputs: list[Output]) -> None:
        told.append((record.offset, outputs))

    async def run() -> None:
        replay = Replay(FleetFold(0, 1), first, tell, speed)
        for start in range(0, len(log.log), 4):
            await replay.hear(log.log[start : start + 4])
        assert replay.told == len(told)

    asyncio.run(run())
    return told


def test_the_same_records_give_the_same_outputs(log: FleetLog) -> None:
    fold = FleetFold(0, 1)
    expected = [(record.offset, fold.fold([record])) for record in log.log]
    assert replayed(log, 0) == expected
    assert replayed(log, 5) == expected[5:], "what is before only brings the state there"
    assert replayed(log, 99) == []


def test_it_takes_a_part_of_the_time_that_it_took(log: FleetLog, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    replayed(log, 0, speed=4)
    assert sum(slept) == pytest.approx((log.log[-1].timestamp - log.log[0].timestamp) / 1_000 / 4)


@pytest.mark.parametrize("into", ["coordinator.", ""])
def test_history_is_never_written_into_itself(into: str) -> None:
    with pytest.raises(ConfigurationError, match="never written into itself"):
        Sandbox("127.0.0.1:1", "coordinator.", into)
