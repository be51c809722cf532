"""The log stays readable while a broker is away."""

from __future__ import annotations

import logging

import pytest

from streams import library_logs
from streams.library_logs import OncePerWhile


def record(message: str, *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.client", level, __file__, 1, message, args, None)


def test_repetitions_are_held_back_for_a_while_whatever_their_arguments() -> None:
    once = OncePerWhile(seconds=60)
    assert once.filter(record("node %s is away", 1))
    assert not once.filter(record("node %s is away", 2))
    assert once.filter(record("something else"))


def test_a_new_brokers_missing_group_coordinator_is_an_error_only_if_it_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(library_logs.time, "monotonic", lambda: now)
    once = OncePerWhile(seconds=0)
    failed = record("Group Coordinator Request failed: %s", "[Error 15] GroupCoordinatorNotAvailableError")
    assert not once.filter(failed)
    now += library_logs.NORMAL_FOR - 1
    assert not once.filter(failed)
    assert once.filter(record("Group Coordinator Request failed: %s", "something else"))
    now += 1
    assert once.filter(failed)


def test_they_come_again_after_the_while() -> None:
    once = OncePerWhile(seconds=0)
    assert once.filter(record("node %s is away", 1))
    assert once.filter(record("node %s is away", 1))


def test_what_is_critical_is_never_held_back() -> None:
    once = OncePerWhile(seconds=60)
    assert once.filter(record("end", level=logging.CRITICAL))
    assert once.filter(record("end", level=logging.CRITICAL))


def test_our_own_messages_are_never_held_back() -> None:
    once = OncePerWhile(seconds=60)
    own = logging.LogRecord("coordinator.engine", logging.INFO, __file__, 1, "partitions restored", (), None)
    assert once.filter(own)
    assert once.filter(own)
