"""Many alerts of one kind at once: the first ones go out, then how many more there were."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"alert_burst": 3, "breaker": {"failures": 100}})
    log.agent(slots=100)
    return log


def fail(log: FleetLog, *numbers: int) -> list[dict[str, Any]]:
    """So many tasks fail for good; the alerts about them."""
    alerts = []
    for number in numbers:
        directive = log.run(f"t{number}", max_attempts=1)
        alerts += log.answer(directive, "failed").alerts()
    return alerts


def test_the_first_go_out_then_how_many_more_there_were(log: FleetLog) -> None:
    assert [alert["subject"] for alert in fail(log, *range(8))] == ["t0", "t1", "t2"]
    began = log.now
    (alert,) = log.wait(60_000).alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("alerts_withheld", "default", "too_many")
    assert (alert["withheld"], alert["since"]) == ({"task_failed": 5}, began / 1000)
    assert not log.wait(200_000).alerts()


def test_each_minute_begins_anew(log: FleetLog) -> None:
    fail(log, *range(3))
    log.wait(60_000)
    assert len(fail(log, *range(10, 14))) == 3


def test_kinds_are_counted_apart_and_results_are_all_there(log: FleetLog) -> None:
    fail(log, *range(5))
    log.task("impossible", requires={"capabilities": ["none"]})
    assert log.wait(6_000).alerts("no_eligible_agent")
    directive = log.run("one-more", max_attempts=1)
    said = log.answer(directive, "failed")
    assert not said.alerts()
    assert said.result["task_id"] == "one-more"


def test_rejections_are_always_told(log: FleetLog) -> None:
    for number in range(6):
        log.task(f"t{number}")
        assert log.task(f"t{number}", priority=9).rejections == ["task_exists"]


def test_a_restored_fold_tells_it_too(log: FleetLog) -> None:
    fail(log, *range(5))
    log.fold.restored()
    log.fold.validate()
    (alert,) = log.wait(60_000).alerts()
    assert alert["withheld"] == {"task_failed": 2}
