"""Scale: what an event costs with more agents, partitions or processes, rarer checkpoints, fewer rows in memory.

One thing is varied at a time; all else stays as in the base. The runs of all values of one thing take turns.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import processor_time
from bench.meter import Task
from bench.runner import Measured, Row, in_turns, run
from bench.throughput import Loaded, load_topic, own
from bench.throughput import Setup as Base
from bench.workload import WORKLOADS

PATIENCE = 120.0
ROW = Row("ours", "ingress fold in a worker", own("ours_member"))


@dataclass(frozen=True)
class Setup:
    """The base, and the values of what is varied."""

    events: int
    agents: int
    partitions: int
    repetitions: int
    values: Mapping[str, Sequence[float]]
    """Of each dimension that is measured."""


@dataclass(frozen=True)
class Point:
    """One value of one dimension, and all else."""

    value: float
    agents: int
    partitions: int
    checkpoint_interval: float = 1.0
    cache_size: int | None = None
    """Agents that are kept in memory, over all partitions."""
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of all processes of a point. Rates are in events per second."""

    per_cpu_second: float
    last_third: float | None
    wall: float
    peak_memory: int
    """Bytes, of the process that held most."""
    broker: float | None
    """Processors that the broker kept busy meanwhile."""


def point(setup: Setup, dimension: str, value: float) -> Point:
    """The base with this one thing varied."""
    base = Point(value, setup.agents, setup.partitions)
    match dimension:
        case "agents":
            return replace(base, agents=int(value))
        case "partitions":
            return replace(base, partitions=int(value))
        case "cache_size":
            return replace(base, cache_size=int(value))
        case "processes":
            return replace(base, processes=int(value))
        case _:
            return replace(base, checkpoint_interval=value)


def measure(
    setup: Setup, bootstrap: str, progress: Callable[[str], None], broker_pid: int | None = None
) -> dict[str, Any]:
    """Measure each dimension; the result as ``--json`` prints it.

    Args:
        setup: What is measured; the partitions can be shared evenly by each number of processes.
        bootstrap: Address of the Kafka.
        progress: Hears what is going on.
        broker_pid: Process of the broker, if it runs on this machine; its work is told, too.
    """
    topics: dict[tuple[int, int], Loaded] = {}
    dimensions: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for dimension, values in setup.values.items():
        points = {f"{value:g}": point(setup, dimension, value) for value in values}
        for one in points.values():
            key = (one.agents, one.partitions)
            if key not in topics:
                base = Base("scale", setup.events, *key, setup.repetitions)
                topics[key] = load_topic(base, WORKLOADS["throughput"], setup.events, bootstrap, progress)
        runs, failed = in_turns(
            [replace(ROW, name=name) for name in points],
            setup.repetitions,
            lambda row, points=points: together(  # type: ignore[misc]
                points[row.name],
                topics[points[row.name].agents, points[row.name].partitions],
                broker_pid,
            ),
            lambda text, dimension=dimension: progress(f"{dimension} {text}"),  # type: ignore[misc]
        )
        dimensions[dimension] = summary({points[name].value: ran for name, ran in runs.items()})
        missing |= {f"{dimension} {name}": reason for name, reason in failed.items()}
    return {
        "workload": "scale",
        "what": "what an event costs; one thing varied at a time",
        "events": setup.events,
        "agents": setup.agents,
        "partitions": setup.partitions,
        "repetitions": setup.repetitions,
        "dimensions": dimensions,
        "missing": missing,
    }


def together(at: Point, loaded: Loaded, broker_pid: int | None) -> Ran:
    """Run the processes of a point side by side, as one consumer group.

    Raises:
        RowFailed: if one of them fails.
    """
    application = f"bench-scale-{uuid.uuid4().hex[:8]}"

    def probe() -> dict[str, float]:
        spent = None if broker_pid is None else processor_time.of_process(broker_pid)
        return {} if spent is None else {"broker": spent}

    with tempfile.TemporaryDirectory(prefix="bench-") as directory, ThreadPoolExecutor(at.processes) as pool:
        (finished := Path(directory, "finished")).mkdir()

        def task(member: int) -> Task:
            (own_directory := Path(directory, str(member))).mkdir()
            options = {
                "application": application,
                "members": at.processes,
                "member": member,
                "finished": str(finished),
                "engine": {"checkpoint_interval": at.checkpoint_interval, "cache_size": at.cache_size},
            }
            events = loaded.setup.events
            return loaded.task(f"{application}-{member}", str(own_directory), events, options)

        running = [pool.submit(run, ROW, task(member), PATIENCE, probe) for member in range(at.processes)]
        return combined([one.result() for one in running])


def combined(runs: Sequence[Measured]) -> Ran:
    """The processes of one run as one: their events, over the sum of their processor time or the time of all."""
    events = sum(one.events for one in runs)
    begun = min(one.first["wall"] for one in runs)
    ended = max(one.last["wall"] for one in runs)
    thirds = [one.last_third for one in runs]
    broker = None
    if all("broker" in mark for one in runs for mark in (one.first, one.last)):
        spent = max(one.last["broker"] for one in runs) - min(one.first["broker"] for one in runs)
        broker = spent / (ended - begun)
    return Ran(
        per_cpu_second=events / sum(one.events / one.per_cpu_second for one in runs),
        last_third=None if None in thirds else sum(one or 0.0 for one in thirds) / len(thirds),
        wall=events / (ended - begun),
        peak_memory=max(one.peak_memory for one in runs),
        broker=broker,
    )


def summary(runs: dict[float, list[Ran]]) -> list[dict[str, Any]]:
    """The figures of each value, in its order; ``cost`` and ``speed`` are relative to the first value."""
    figures: list[dict[str, Any]] = []
    for value, ran in runs.items():
        costs = [1e6 / one.per_cpu_second for one in ran]
        thirds = [one.last_third / 1000 for one in ran if one.last_third is not None]
        brokers = [one.broker for one in ran if one.broker is not None]
        figures.append(
            {
                "value": value,
                "us_per_event": {
                    "min": round(min(costs), 2),
                    "median": round(median(costs), 2),
                    "max": round(max(costs), 2),
                },
                "last_third_kev_per_cpu_s": round(median(thirds), 1) if thirds else None,
                "wall_kev_s": round(median(one.wall for one in ran) / 1000, 1),
                "rss_mb": round(max(one.peak_memory for one in ran) / 1e6),
                "broker_cpus": round(median(brokers), 2) if brokers else None,
            }
        )
    for one in figures:
        one["cost"] = round(one["us_per_event"]["median"] / figures[0]["us_per_event"]["median"], 2)
        one["speed"] = round(one["wall_kev_s"] / figures[0]["wall_kev_s"], 2)
    return figures
