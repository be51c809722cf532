"""A broker that goes away for a while costs time, not records; one that stays away stops the worker loudly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.errors import RequestTimedOutError

from streams.kafka import LocalKafka
from tests.integration.engine.harness import Lab, Worker, numbered

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))


@pytest.fixture
async def own_lab(tmp_path: Path, topic_prefix: str) -> AsyncIterator[tuple[Lab, LocalKafka]]:
    """A lab with a broker that it may stop."""
    with LocalKafka(tmp_path / "kafka") as broker:
        lab = Lab(broker.bootstrap, topic_prefix, tmp_path)
        yield lab, broker
        await lab.end()


async def test_a_restart_of_the_broker_is_ridden_out(own_lab: tuple[Lab, LocalKafka]) -> None:
    lab, broker = own_lab
    await lab.create_topics()
    worker = Worker(lab, "a", REQUEST_TIMEOUT="40")
    await worker.running()
    await lab.produce(numbered(1000))
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    await lab.produce(numbered(1000, start=1000))
    await lab.everything_is_exact(worker)
    await worker.stop()


async def test_a_broker_that_stays_away_stops_the_worker(own_lab: tuple[Lab, LocalKafka]) -> None:
    lab, broker = own_lab
    await lab.create_topics()
    worker = Worker(lab, "a", REQUEST_TIMEOUT="6", DELIVERY_TIMEOUT="8", APPEND_EVERY="0.05")
    await worker.running()
    await lab.produce(numbered(1000))
    await asyncio.to_thread(broker.kill)
    assert await worker.exit_status() != 0
    assert "engine failed" in worker.log


async def test_a_broker_that_freezes_stops_the_worker(own_lab: tuple[Lab, LocalKafka]) -> None:
    """It answers nothing, but its connections stay open: what has been sent would be sent again for ever."""
    lab, broker = own_lab
    await lab.create_topics()
    worker = Worker(
        lab, "a", REQUEST_TIMEOUT="60", SESSION_TIMEOUT="60", DELIVERY_TIMEOUT="4", APPEND_EVERY="0.05"
    )
    await worker.until(lambda status: status.get("appends", 0) > 3)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        assert await worker.exit_status() != 0
        assert "broker acknowledges nothing" in worker.log
        assert "has acknowledged nothing for" in worker.log.strip().splitlines()[-1]
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.timeout(300 if LONG else 120)
async def test_a_broker_that_freezes_for_a_while_is_ridden_out(own_lab: tuple[Lab, LocalKafka]) -> None:
    """Longer than a session: the worker is taken for dead, and comes back."""
    lab, broker = own_lab
    await lab.create_topics()
    await lab.produce(numbered(1_000))
    worker = Worker(lab, "a", DELIVERY_TIMEOUT="120" if LONG else "45")
    await lab.everything_is_exact(worker)
    for _ in range(3 if LONG else 1):
        before = lab.sent
        producing = asyncio.create_task(lab.produce(numbered(1_000, start=lab.sent), per_second=300))
        await asyncio.sleep(1)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(60 if LONG else 8)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        # After a minute the load's own client has given up what it could not send, and only then.
        with contextlib.suppress(*((RequestTimedOutError,) if LONG else ())):
            await producing
        appended = len(await lab.read("events"))
        assert appended > before if LONG else appended >= lab.sent, "the log lost what it had acknowledged"
        lab.sent = appended
        await lab.everything_is_exact(worker)
    await worker.stop()


async def test_a_process_that_was_stopped_does_not_blame_the_broker(own_lab: tuple[Lab, LocalKafka]) -> None:
    lab, _ = own_lab
    await lab.create_topics()
    worker = Worker(lab, "a", SESSION_TIMEOUT="30", DELIVERY_TIMEOUT="4", APPEND_EVERY="0.005")
    appended = (await worker.until(lambda status: status.get("appends", 0) > 50))["appends"]
    worker.pause()
    await asyncio.sleep(7)
    worker.resume()
    await worker.until(lambda status: status["appends"] > appended + 200)
    await worker.stop()


async def test_no_broker_at_the_address_stops_the_start(tmp_path: Path) -> None:
    lab = Lab("127.0.0.1:1", "nowhere.", tmp_path)
    worker = Worker(lab, "a")
    assert await worker.exit_status() != 0
    assert "Unable to bootstrap" in worker.log
