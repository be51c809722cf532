"""``coordinator bench …`` as people run it, very small: shape and sense of what comes out, never its speed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "streams.cli.main", "bench", *arguments]


RUNS = {
    "windows": ["--rows", "limit,ours", "--events", "2000", "--agents", "40"],
    "latency": ["--rates", "200", "--seconds", "0.5", "--agents", "20"],
    "scale": ["--vary", "processes=2", "--events", "2000", "--agents", "40"],
    "memory": ["--agents", "2000"],
}

Results = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def results(kafka: str) -> Iterator[Results]:
    """What each run prints. They run at once: mostly they wait for consumer groups to form."""
    running = {
        name: subprocess.Popen(
            command(name, *arguments, "--repetitions", "1", "--json", "-b", kafka),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, arguments in RUNS.items()
    }

    def result(name: str) -> dict[str, Any]:
        said, complaints = running[name].communicate(timeout=110)
        assert running[name].returncode == 0, complaints
        found: dict[str, Any] = json.loads(said)
        assert found["missing"] == {}
        return found

    yield result
    for process in running.values():
        process.kill()
        process.communicate()


def test_windows_are_closed_and_counted(results: Results) -> None:
    result = results("windows")
    limit, ours = result["rows"]["limit"], result["rows"]["ours"]
    assert limit["ratio_to_limit"] == 1.0
    assert 0 < ours["kev_per_cpu_s"]["min"] <= ours["kev_per_cpu_s"]["median"]
    assert ours["rows"] == 40
    # Fifty seconds of event time: four windows or more of each agent.
    assert ours["closed"] >= 4 * 40


def test_a_hop_is_timed_for_both_rows(results: Results) -> None:
    rows = results("latency")["rates"]["200"]["rows"]
    assert rows.keys() == {"raw", "ours"}
    for row in rows.values():
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["ratio_to_raw"].keys() == {"p50", "p90", "p99", "max"}


def test_two_processes_share_the_events(results: Results) -> None:
    [two] = results("scale")["dimensions"]["processes"]
    assert two["value"] == 2
    assert two["us_per_event"]["min"] > 0
    assert two["broker_cpus"] is None, "whose Kafka this is cannot be known"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory a process holds")
def test_an_agent_costs_memory(results: Results) -> None:
    rows = results("memory")["sizes"]["2000"]["rows"]
    assert rows["fold"]["rows"] == rows["worker"]["rows"] == 2000
    assert 300 < rows["fold"]["closed_bytes"] < 20_000
    assert rows["fold"]["open_bytes"] > 300
    assert rows["worker"]["closed_bytes"] > 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["throughput", "--rows", "ours,flink"], "no contender is named flink"),
        (["latency", "--rates", "fast"], "--rates takes whole numbers above 0"),
        (["memory", "--agents", "10,0"], "--agents takes whole numbers above 0"),
        (["scale", "--vary", "color=1"], "--vary takes NAME=N,…"),
        (["scale", "--vary", "processes=3"], "3 processes cannot share 4 partitions evenly"),
        (["restart", "--plot", "nowhere/at/all.png"], "there is no directory"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(arguments: list[str], said: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
