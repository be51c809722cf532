"""What a user reads of the Kafka client, and of an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from coordinator import _outages
from coordinator._outages import OncePerWhile, calm_the_library, tell_outages

client = logging.getLogger("aiokafka.client")


@pytest.fixture(autouse=True)
def calmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With a memory of its own, and without one afterwards."""
    memory = OncePerWhile()
    monkeypatch.setattr(_outages, "_once_per_while", memory)
    names = [name for name in logging.root.manager.loggerDict if name.startswith("aiokafka")]
    loggers = [logging.getLogger("aiokafka"), client, *map(logging.getLogger, names)]
    before = {logger: (logger.level, list(logger.filters)) for logger in loggers}
    for logger in loggers:
        logger.level, logger.filters = logging.NOTSET, []
    yield
    for logger, (level, filters) in before.items():
        logger.setLevel(level)
        logger.filters = filters


def test_a_repeated_warning_of_the_library_is_read_once(caplog: pytest.LogCaptureFixture) -> None:
    calm_the_library()
    calm_the_library()
    for number in range(100):
        client.error("Unable connect to node with id %s", number)
    client.warning("something else")
    assert caplog.messages == ["Unable connect to node with id 0", "something else"]


def test_a_stack_trace_is_never_held_back(caplog: pytest.LogCaptureFixture) -> None:
    calm_the_library()
    for _ in range(2):
        client.error("unexpected", exc_info=ValueError("odd"))
    assert caplog.messages == ["unexpected"] * 2


@pytest.mark.parametrize("name", ["aiokafka", "aiokafka.client"])
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_an_application_that_configures_the_library_hears_all_of_it(
    caplog: pytest.LogCaptureFixture, name: str, early: bool
) -> None:
    if not early:
        calm_the_library()
    logging.getLogger(name).setLevel(logging.WARNING)
    if early:
        calm_the_library()
    for _ in range(3):
        client.error("Unable to connect")
    assert caplog.messages == ["Unable to connect"] * 3


async def test_an_outage_and_its_end_are_told_once_each_and_a_blink_is_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outages, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(_outages, "PATIENCE_SECONDS", 0.1)
    states = [True]
    watch = asyncio.create_task(tell_outages("h:9092", lambda: states[-1]))
    for connected, seconds in [(True, 0.05), (False, 0.05), (True, 0.2), (False, 0.3), (True, 0.1)]:
        states.append(connected)
        await asyncio.sleep(seconds)
    watch.cancel()
    assert caplog.messages == [
        "Kafka at h:9092 does not answer; what is to be sent waits until it does",
        "Kafka at h:9092 answers again, after 0 s",
    ]
