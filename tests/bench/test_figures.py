"""How marks and moments become figures."""

from __future__ import annotations

import pytest

from bench.latency import Hop, quantiles
from bench.latency import summary as latency_summary
from bench.runner import Measured, _measured
from bench.runner import summary as throughput_summary
from bench.scale import Ran, combined
from bench.scale import summary as scale_summary


def marks(*at: tuple[int, float]) -> list[dict[str, float]]:
    return [{"done": done, "cpu": cpu, "wall": 2 * cpu, "rss": 1_000_000, "broker": cpu} for done, cpu in at]


def measured(*at: tuple[int, float]) -> Measured:
    return _measured(marks(*at), at[-1][0])


def test_the_last_third_is_told_apart_from_the_whole() -> None:
    one = measured((0, 1.0), (300, 3.0), (600, 4.0), (900, 4.5))
    assert one.per_cpu_second == pytest.approx(900 / 3.5)
    assert one.last_third == pytest.approx(300 / 0.5)


def test_events_that_came_in_one_piece_have_no_last_third() -> None:
    one = measured((0, 1.0), (900, 2.0))
    assert one.last_third is None
    assert throughput_summary({"limit": [one]})["limit"]["last_third_kev_per_cpu_s"] is None


def test_a_quantile_is_a_value_that_was_measured() -> None:
    found = quantiles([float(number) for number in range(1, 1001)])
    assert found == {"p50": 500.0, "p90": 900.0, "p99": 990.0, "max": 1000.0}
    assert quantiles([7.0]) == {"p50": 7.0, "p90": 7.0, "p99": 7.0, "max": 7.0}


def test_latencies_are_medians_over_the_runs_and_the_worst_of_their_maxima() -> None:
    raw = [
        Hop({"p50": p50, "p90": 2.0, "p99": 3.0, "max": worst}, 0.5)
        for p50, worst in ((1, 9), (2, 4), (4, 5))
    ]
    ours = [Hop({"p50": 3.0, "p90": 2.0, "p99": 6.0, "max": 9.0}, 0.1)]
    rows = latency_summary({"raw": raw, "ours": ours})
    assert (rows["raw"]["p50_ms"], rows["raw"]["max_ms"], len(rows["raw"]["runs"])) == (2, 9, 3)
    assert rows["ours"]["ratio_to_raw"] == {"p50": 1.5, "p90": 1.0, "p99": 2.0, "max": 1.0}


def test_processes_side_by_side_cost_the_sum_and_last_as_long_as_the_slowest() -> None:
    # The marks' wall clock runs at twice the processor's: 2 to 6 and 3 to 9.
    both = combined([measured((0, 1.0), (600, 3.0)), measured((0, 1.5), (900, 4.5))])
    assert both.per_cpu_second == pytest.approx(1500 / (2.0 + 3.0))
    assert both.wall == pytest.approx(1500 / 7.0)
    assert both.broker == pytest.approx((4.5 - 1.0) / 7.0)


def test_what_is_varied_is_compared_with_its_first_value() -> None:
    def ran(rate: float) -> Ran:
        return Ran(rate, None, 2 * rate, 1_000_000, None)

    first, second = scale_summary({1.0: [ran(200_000)], 2.0: [ran(100_000)]})
    assert (first["us_per_event"]["median"], first["cost"], first["speed"]) == (5.0, 1.0, 1.0)
    assert (second["us_per_event"]["median"], second["cost"], second["speed"]) == (10.0, 2.0, 0.5)
    assert first["broker_cpus"] is None
