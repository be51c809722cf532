"""The benchmark of a whole coordinator: a short run of it on the real Kafka, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from bench.latency import quantiles
from bench.live import QUANTILES, app

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "live.py"


def test_every_task_ends_and_is_timed(kafka: str) -> None:
    options = ["--rates", "40", "--seconds", "2", "--agents", "10", "--work", "0.01", "--coalitions", "0.25"]
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), *options, "--bootstrap", kafka, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["rates"]["40"]
    assert figures["tasks"] == 80
    assert 10 < figures["completed_per_s"] < 45
    directive, result = figures["to_directive_ms"], figures["to_result_ms"]
    assert 0 < directive["p50"] <= directive["p99"] <= directive["max"]
    assert directive["p50"] < result["p50"]
    assert figures["cpus"]["worker"] > 0
    assert "broker" not in figures["cpus"], "it is not ours to measure"


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantiles([float(number) for number in range(1, 101)], QUANTILES) == {
        "p50": 50.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert quantiles([7.0], QUANTILES) == {"p50": 7.0, "p99": 7.0, "max": 7.0}


def test_rates_that_are_none_are_refused() -> None:
    for rates in ("fast", "0", "100,-1"):
        ran = CliRunner().invoke(app, ["--rates", rates])
        assert ran.exit_code == 2
        assert f"--rates {rates}" in ran.stderr
