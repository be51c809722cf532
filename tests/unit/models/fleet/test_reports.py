"""Performance reports: one for each window, from the shares of all partitions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.models.fleet.log import FleetLog, Said, restored_from, rows_of


def share(**means: float) -> dict[str, object]:
    return {
        agent: {"load": {"count": 2, "sum": 2 * m, "mean": m, "min": m / 2, "max": m * 2, "last": m}}
        for agent, m in means.items()
    }


def report_of(log: FleetLog) -> dict[str, Any]:
    """The report of a window that closes now."""
    (report,) = close_window(log).reports()
    return report


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
    assert report["queue"] == {
        "pending": 2,
        "waiting": 1,
        "full": 0,
        "quota": 0,
        "impossible": 1,
        "coalition": 0,
    }
    assert report["slots"] == {"total": 1, "usable": 1, "held": 0}
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


def test_waits_and_slowdowns_are_told_by_their_quantiles_since_the_last_report(log: FleetLog) -> None:
    log.agent(slots=200)
    report_of(log)
    for number in range(100):
        log.task(f"t{number}")
        # Ninety-eight wait for a tenth of a second, two for eight; all work for half a second.
        log.tick(100 if number < 98 else 8_000)
        directive = log.plan((f"t{number}", "a1", 1)).directive
        log.answer(directive, "accepted")
        log.answer(directive, "completed", after=500)
    period = report_of(log)["period"]
    assert (period["wait_p50"], period["wait_p99"]) == (0.103, 8.191)
    assert period["wait_max"] == 8.0
    assert period["slowdown_p50"] == pytest.approx(1.2, rel=1 / 8)
    assert period["slowdown_p99"] == pytest.approx(17, rel=1 / 8)
    assert period["reassigned"] == 0
    empty = report_of(log)["period"]
    assert (empty["wait_p99"], empty["slowdown_p99"]) == (0, 0)


def test_assignments_of_tasks_that_had_one_before_are_counted(log: FleetLog) -> None:
    report_of(log)
    log.answer(log.assigned(), "rejected")
    log.agent("a2")
    log.plan(("t1", "a2", 2))
    period = report_of(log)["period"]
    assert (period["assigned"], period["reassigned"]) == (2, 1)


def test_how_evenly_agents_are_loaded(log: FleetLog) -> None:
    for name, held in (("a1", 4), ("a2", 2), ("a3", 0)):
        log.agent(name, slots=4)
        for number in range(held):
            log.task(f"{name}-{number}", ack_timeout=600)
            log.plan((f"{name}-{number}", name, 1))
    log.agent("cordoned", slots=4)
    log.fact("agent_cordoned", agent_id="cordoned")
    report = report_of(log)
    assert report["slots"] == {"total": 16, "usable": 12, "held": 6}
    balance = report["balance"]
    assert (balance["load_mean"], balance["load_max"]) == (0.5, 1.0)
    assert balance["load_cov"] == pytest.approx((2 / 3) ** 0.5)


def test_who_waits_and_gets_nothing_makes_it_unfair(log: FleetLog) -> None:
    log.agent(slots=4)
    assert report_of(log)["balance"]["fairness"] == 1.0
    for number in range(4):
        log.task(f"t{number}", tenant="lucky", ack_timeout=600)
        log.plan((f"t{number}", "a1", 1))
    log.task("waits", tenant="other")
    assert report_of(log)["balance"]["fairness"] == 0.5


def test_a_queue_for_which_there_is_no_room_is_full(log: FleetLog) -> None:
    log.assigned(ack_timeout=600)
    log.task("t2")
    assert report_of(log)["queue"] == {
        "pending": 1,
        "waiting": 0,
        "full": 1,
        "quota": 0,
        "impossible": 0,
        "coalition": 0,
    }


def test_capabilities_that_are_short_for_long_are_told_of_with_what_would_be_enough(log: FleetLog) -> None:
    needs = {"capabilities": ["saw", "weld"]}
    log.agent(capabilities=["saw", "weld"], slots=2)
    log.task("long", requires=needs, slots=2, ack_timeout=600)
    log.plan(("long", "a1", 1))
    for number in range(3):
        log.task(f"t{number}", requires=needs, slots=2)
    assert not close_window(log).alerts()
    log.fold = restored_from(rows_of(log.fold), 1)
    assert not close_window(log).alerts()
    (alert,) = close_window(log).alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("overload", "saw+weld", "capacity")
    assert (alert["tasks"], alert["agents"], alert["slots"], alert["more_slots"]) == (3, 1, 2, 6)


def test_what_found_room_in_between_is_not_short(log: FleetLog) -> None:
    log.assigned(ack_timeout=600)
    log.task("t2")
    close_window(log)
    log.fact("task_cancelled", task_id="t2")
    close_window(log)
    log.task("t3")
    assert not close_window(log).alerts()
    assert not close_window(log).alerts()


def close_window(log: FleetLog) -> Said:
    end = log.now / 1000
    log.own("window_closed", start=end - 10, end=end, agents={})
    return log.wait(15_000)
