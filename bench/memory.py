"""Memory: how many bytes an agent costs, with its window open and with all windows closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.runner import Measured, Row, run_in_turns
from bench.throughput import Setup as Base
from bench.throughput import load_topic, own
from bench.workload import MEMORY

EVENTS_PER_AGENT = 2
"""Its registration, and a heartbeat with a load."""

BAR = 1_500
"""Bytes that an agent with all windows closed should cost at most."""

ROWS = {
    row.name: row
    for row in (
        Row(
            "fold",
            "the fold and the engine's books about its rows, in a process of their own",
            own("ours_memory"),
        ),
        Row(
            "worker",
            "a whole worker: the same, with Kafka clients, buffers and store",
            own("ours_memory_worker"),
        ),
    )
}


@dataclass(frozen=True)
class Setup:
    """What is measured."""

    agents: Sequence[int]
    partitions: int
    repetitions: int


def measure(
    setup: Setup, rows: Sequence[Row], bootstrap: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run the rows in turns for each number of agents; the result as ``--json`` prints it."""
    sizes: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for agents in setup.agents:
        events = EVENTS_PER_AGENT * agents + 2 * setup.partitions
        base = Base("memory", events, agents, setup.partitions, setup.repetitions)
        loaded = load_topic(base, MEMORY, events, bootstrap, progress)
        runs, failed = run_in_turns(
            rows,
            repetitions=setup.repetitions,
            make_task=lambda row, unique, directory, loaded=loaded, events=events: loaded.task(  # type: ignore[misc]
                unique, directory, events, row.options
            ),
            progress=lambda text, agents=agents: progress(f"{agents} agents: {text}"),  # type: ignore[misc]
        )
        sizes[str(agents)] = {"rows": {name: summary(one) for name, one in runs.items()}}
        missing |= {f"{name} with {agents} agents": reason for name, reason in failed.items()}
    return {
        "workload": "memory",
        "what": "bytes of memory for each agent",
        "bar_bytes": BAR,
        "partitions": setup.partitions,
        "repetitions": setup.repetitions,
        "agents": list(setup.agents),
        "sizes": sizes,
        "missing": missing,
    }


def summary(runs: Sequence[Measured]) -> dict[str, Any]:
    """Of the run that took the least: others' leftovers only ever add."""
    best = min(runs, key=lambda one: float(one.extra["closed_bytes"]))
    return dict(best.extra)
