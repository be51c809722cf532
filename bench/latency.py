"""Latency of one hop: from when an event should have been appended until what comes of it can be read.

The events are answers to directives: each of them is forwarded to the fleet log, exactly once, as the fact
``directive_response``. They come at a fixed rate, whether the reader keeps up or not, and their latency counts
from the moment that was meant for them; so a pause shows in all events that it delayed (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.meter import Task
from bench.runner import Row, RowFailed, in_turns, serving
from bench.throughput import own
from streams import topics

WARM_UP = 2.0
"""Seconds of events that are sent first and not counted."""
PATIENCE = 20.0
"""Seconds without any output, after which those that are missing are given up."""
QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}

ROWS = {
    row.name: row
    for row in (
        Row(
            "raw", "aiokafka consumes, parses and produces: nothing checked, nothing kept", own("raw_latency")
        ),
        Row("ours", "ingress fold in a worker: checks, dedupe, table, checkpoints", own("ours_latency")),
    )
}
_GENERATOR = Row("load generator", "", lambda: [sys.executable, "-m", "bench.load_generator"])
_NUMBER = re.compile(rb'"directive_id":"default\.(\d+)\.0"')


@dataclass(frozen=True)
class Setup:
    """What is measured."""

    rates: Sequence[int]
    """Events per second."""
    seconds: float
    """How long each run is measured, after the warm-up."""
    agents: int
    partitions: int
    repetitions: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One run of one row. All in milliseconds."""

    quantiles: dict[str, float]
    late: float
    """By how much the load generator was late at most; it is part of the latencies."""


def measure(
    setup: Setup, rows: Sequence[Row], bootstrap: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run the rows in turns at each rate; the result as ``--json`` prints it."""
    rates: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for rate in setup.rates:
        runs, failed = in_turns(
            rows,
            setup.repetitions,
            lambda row, rate=rate: hop(setup, row, rate, bootstrap),  # type: ignore[misc]
            lambda text, rate=rate: progress(f"{rate} events/s: {text}"),  # type: ignore[misc]
        )
        rates[str(rate)] = {"rows": summary(runs)}
        missing |= {f"{name} at {rate}/s": reason for name, reason in failed.items()}
    return {
        "workload": "latency",
        "what": "from the moment meant for an answer until its fact can be read in the fleet log",
        "seconds": setup.seconds,
        "agents": setup.agents,
        "partitions": setup.partitions,
        "repetitions": setup.repetitions,
        "rates": rates,
        "missing": missing,
    }


def hop(setup: Setup, row: Row, rate: int, bootstrap: str) -> Hop:
    """One run of one row on topics of its own.

    Raises:
        RowFailed: if it does not start, or outputs are missing.
    """
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    layout = topics.Layout(
        prefix=prefix, application=prefix.rstrip("."), partitions=topics.Partitions(events=setup.partitions)
    )
    asyncio.run(topics.create(bootstrap, layout))
    warm_up = round(WARM_UP * rate)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        task = Task(
            bootstrap=bootstrap,
            topic=topics.real_name(prefix, "events"),
            prefix=prefix,
            partitions=setup.partitions,
            events=warm_up + round(setup.seconds * rate),
            agents=setup.agents,
            run=f"bench-{row.name}-{uuid.uuid4().hex[:8]}",
            directory=directory,
            options={**row.options, "rate": rate},
        )
        with serving(row, task) as process:
            process.expect("ready")
            with serving(_GENERATOR, task) as generator:
                start = float(generator.expect("start"))
                arrivals = _arrivals(bootstrap, topics.real_name(prefix, "fleet"), task.events, process.check)
                late = float(generator.expect("late"))
    missing = task.events - len(arrivals)
    if missing:
        raise RowFailed(row.name, f"left {missing} of {task.events} events without output", process.log)
    latencies = [(arrivals[number] - start - number / rate) * 1000 for number in range(warm_up, task.events)]
    return Hop(quantiles(latencies), late * 1000)


def _arrivals(bootstrap: str, topic: str, expected: int, check: Callable[[], None]) -> dict[int, float]:
    """When the output of each event could be read first, by the event's number."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    arrivals: dict[int, float] = {}
    heard = time.monotonic()
    try:
        while len(arrivals) < expected and time.monotonic() - heard < PATIENCE:
            # One by one: a poll for several waits until it has as many.
            message = consumer.poll(0.5)
            now = time.monotonic()
            if message is None:
                check()
                continue
            found = _NUMBER.search(message.value() or b"")
            if found:
                arrivals.setdefault(int(found[1]), now)
                heard = now
    finally:
        consumer.close()
    return arrivals


def quantiles(values: Iterable[float], shares: Mapping[str, float] = QUANTILES) -> dict[str, float]:
    """Nearest-rank quantiles: each is a value that was measured."""
    ranked = sorted(values)
    return {name: ranked[max(0, math.ceil(share * len(ranked)) - 1)] for name, share in shares.items()}


def summary(runs: dict[str, list[Hop]], base: str = "raw") -> dict[str, dict[str, Any]]:
    """Medians over the runs of each row, the worst of its maxima, and ratios of medians to those of ``base``."""
    rows: dict[str, dict[str, Any]] = {}
    for name, hops in runs.items():
        across = {q: [one.quantiles[q] for one in hops] for q in QUANTILES}
        figures = {
            f"{q}_ms": round(max(across[q]) if q == "max" else median(across[q]), 2) for q in QUANTILES
        }
        rows[name] = {
            **figures,
            "generator_late_ms": round(max(one.late for one in hops), 2),
            "runs": [{f"{q}_ms": round(value, 2) for q, value in one.quantiles.items()} for one in hops],
        }
    if base in rows:
        for row in rows.values():
            row["ratio_to_raw"] = {
                q: round(row[f"{q}_ms"] / rows[base][f"{q}_ms"], 2)
                for q in QUANTILES
                if rows[base][f"{q}_ms"] > 0
            }
    return rows
