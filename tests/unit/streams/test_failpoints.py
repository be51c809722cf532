"""Failpoints do what was ordered, once, and nothing else ever."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.failpoints import FAILPOINTS, Injected, arm, failpoint


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    arm("")


def test_every_failpoint_is_somewhere_and_every_place_has_a_name() -> None:
    source = "".join(path.read_text() for path in Path("streams/engine").rglob("*.py"))
    calls = re.findall(r"failpoint\(([^)]*)\)", source)
    assert set(re.findall(r'"([a-z.-]+)"', " ".join(calls))) == set(FAILPOINTS)


def test_it_acts_at_the_hit_that_was_ordered_and_only_then() -> None:
    arm("fold.done=raise@3; emit.acked=raise")
    failpoint("fold.done")
    failpoint("fold.done")
    failpoint("fold.begun")
    with pytest.raises(Injected, match=r"fold\.done"):
        failpoint("fold.done")
    failpoint("fold.done")


def test_it_can_stop_the_process_for_a_while() -> None:
    arm("fold.done=pause(0.05)")
    started = time.monotonic()
    failpoint("fold.done")
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize("orders", ["fold.done", "fold.done=explode", "nowhere=kill", "fold.done=kill@0"])
def test_what_is_no_order_is_refused(orders: str) -> None:
    with pytest.raises(ConfigurationError, match="COORDINATOR_FAILPOINTS"):
        arm(orders)
