"""Performance reports: one for each window, from the shares of all partitions."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog


def share(**means: float) -> dict[str, object]:
    return {
        agent: {"load": {"count": 2, "sum": 2 * m, "mean": m, "min": m / 2, "max": m * 2, "last": m}}
        for agent, m in means.items()
    }


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.tick()
    return log


def test_shares_of_one_window_make_one_report(log: FleetLog) -> None:
    start = log.now / 1000
    log.own("window_closed", start=start, end=start + 10, agents=share(a1=0.2), late=1)
    log.own("window_closed", start=start, end=start + 10, agents=share(a2=0.4, a3=0.6), late=2)
    (report,) = log.wait(30_000).reports()
    assert report["window"] == {"start": start, "end": start + 10}
    assert report["agents"]["reporting"] == 3
    assert report["late"] == 3
    load = report["metrics"]["load"]
    assert load["mean"] == pytest.approx(0.4)
    assert (load["agents"], load["samples"], load["min"], load["max"]) == (3, 6, 0.1, 1.2)


def test_each_window_of_each_fleet_has_its_report(log: FleetLog) -> None:
    start = log.now / 1000
    for fleet in ("default", "other"):
        for begin in (start, start + 10):
            log.own("window_closed", fleet=fleet, start=begin, end=begin + 10, agents=share(a1=1))
    reports = log.wait(40_000).reports()
    assert sorted((r["fleet"], r["window"]["start"]) for r in reports) == [
        ("default", start),
        ("default", start + 10),
        ("other", start),
        ("other", start + 10),
    ]


def test_a_report_tells_what_got_done_and_what_waits(log: FleetLog) -> None:
    begin = log.now / 1000
    log.own("window_closed", start=begin - 10, end=begin, agents={})
    log.wait(20_000)
    log.answer(log.running(), "completed")
    log.task("t2")
    log.task("t3", requires={"capabilities": ["weld"]})
    log.own("window_closed", start=begin, end=begin + 10, agents={})
    (report,) = log.wait(20_000).reports()
    period = report["period"]
    assert (period["submitted"], period["assigned"], period["completed"]) == (3, 1, 1)
    assert period["throughput"] == pytest.approx(1 / period["seconds"])
    assert report["queue"] == {"pending": 2, "waiting": 1, "impossible": 1, "coalition": 0}
    assert report["slots"] == {"total": 1, "held": 0}
    assert report["agents"] == {"available": 1, "registered": 1, "reporting": 0}


def test_a_report_is_bounded_however_many_metrics_there_are(log: FleetLog) -> None:
    aggregate = {"count": 1, "sum": 1, "mean": 1, "min": 1, "max": 1, "last": 1}
    agents = {"a1": {f"m{n}": aggregate for n in range(100)}}
    log.own("window_closed", start=log.now / 1000, end=log.now / 1000 + 10, agents=agents)
    (report,) = log.wait(30_000).reports()
    assert len(report["metrics"]) == 64


def test_means_of_huge_numbers_stay_numbers(log: FleetLog) -> None:
    start = log.now / 1000
    for sign in (1, -1):
        huge = dict.fromkeys(("sum", "mean", "min", "max", "last"), sign * 1.7e308)
        agents = {f"a{number}": {"load": {"count": 1, **huge}} for number in range(3)}
        log.own("window_closed", start=start, end=start + 10, agents=agents)
    (report,) = log.wait(30_000).reports()
    assert all(isinstance(value, float | int) for value in report["metrics"]["load"].values())
