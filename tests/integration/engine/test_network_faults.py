"""A network that is cut, refuses, holds back or goes silent: it costs time, and no record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.engine.harness import Lab, Worker, numbered
from tests.support.tcp_proxy import ProxiedKafka, TcpProxy


@pytest.fixture
async def network(tmp_path: Path, topic_prefix: str) -> AsyncIterator[tuple[Lab, TcpProxy]]:
    """A lab whose own clients go straight to the broker, and the way there for workers."""
    with ProxiedKafka(tmp_path / "kafka") as broker:
        lab = Lab(broker.bootstrap, topic_prefix, tmp_path)
        async with TcpProxy(broker.proxy_port, broker.behind_proxy) as proxy:
            yield lab, proxy
            await lab.end()


async def load(lab: Lab, seconds: float) -> None:
    """Records all the while."""
    for _ in range(int(seconds * 4)):
        await lab.produce(numbered(50, start=lab.sent))
        await asyncio.sleep(0.25)


async def test_connections_that_are_cut_refused_and_slow_cost_time_and_no_record(
    network: tuple[Lab, TcpProxy],
) -> None:
    lab, proxy = network
    await lab.create_topics()
    worker = Worker(lab, "a", INSTANCE="a", KAFKA=proxy.address, REQUEST_TIMEOUT="40")
    await worker.running()
    for _ in range(4):
        await load(lab, 0.5)
        proxy.cut()
    proxy.refusing = True
    proxy.cut()
    await load(lab, 3)
    assert not proxy.open
    proxy.refusing = False
    await lab.everything_is_exact(worker)
    proxy.delay = 0.15
    await load(lab, 2)
    await lab.everything_is_exact(worker)
    proxy.delay = 0
    await worker.stop()


async def test_connections_that_went_silent_are_given_up_and_opened_anew(
    network: tuple[Lab, TcpProxy],
) -> None:
    """Half open: the broker hears nothing, the worker is told nothing. Only patience ends it."""
    lab, proxy = network
    await lab.create_topics()
    worker = Worker(lab, "a", INSTANCE="a", KAFKA=proxy.address, REQUEST_TIMEOUT="4", SESSION_TIMEOUT="6")
    await worker.running()
    await load(lab, 1)
    proxy.go_silent()
    await load(lab, 8)
    await lab.everything_is_exact(worker)
    assert "RequestTimedOutError" in worker.log
    await worker.stop()
