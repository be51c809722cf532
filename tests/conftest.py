"""What all tests share: one real Kafka for the whole session, and names that keep its users apart."""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from streams.kafka import LocalKafka

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background job; processes that tests start would inherit it, and Ctrl-C would not reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast examples are made says how busy the machine is, and nothing about what is tested.
settings.register_profile("busy machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Kafka: the one of ``KAFKA_BOOTSTRAP_SERVERS``, else a local one of our own.

    Tests share it, so each uses topics and groups of its own: see :func:`topic_prefix`. A test that stops or
    kills its broker starts its own :class:`~streams.kafka.LocalKafka`.
    """
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """What this test's topics begin with, separator included; unlike that of any other test and run."""
    return f"test{next(_numbers)}-{uuid.uuid4().hex[:8]}."
