"""Throughput: how many events a CPU-second sees through, from the topic into what a contender calls its state."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import kafka_streams_build
from bench.environments import python_of
from bench.meter import Task
from bench.runner import Measured, Row, run_in_turns, summary
from bench.workload import WORKLOADS, Workload, load
from streams import topics
from streams.kafka import LocalKafka

PARTITIONS = 4


def own(module: str) -> Callable[[], Sequence[str]]:
    """The command of a row that runs in the project's own environment."""
    return lambda: [sys.executable, "-m", f"bench.rows.{module}"]


def peer(module: str, environment: str, *packages: str) -> Callable[[], Sequence[str]]:
    """The command of a row that needs an environment of its own."""
    return lambda: [python_of(environment, *packages), "-m", f"bench.rows.{module}"]


QUIX = ("quix", "quix", "quixstreams==3.28.1", "orjson")
BYTEWAX = ("bytewax_fold", "bytewax", "bytewax[kafka]==0.21.1", "orjson")

ROWS = {
    row.name: row
    for row in (
        Row("limit", "librdkafka in a loop + orjson + dict: nothing checked, nothing saved", own("limit")),
        Row("write-back", "the same + RocksDB and changelog, once a second", own("write_back")),
        Row("aiokafka", "aiokafka getmany + orjson + dict: what asyncio allows", own("aiokafka_dict")),
        Row(
            "ours", "ingress fold: checks, dedupe, windows, table, changelog, store, checkpoints", own("ours")
        ),
        Row(
            "faust",
            "stock Faust 0.15.3: a table in memory and its changelog",
            own("faust_table"),
            at_most=40_000,
        ),
        Row(
            "kafka-streams",
            "Kafka Streams 4.3: aggregate, RocksDB and changelog",
            kafka_streams_build.command,
        ),
        Row(
            "quix", "Quix Streams 3.28.1: stateful apply, RocksDB and changelog", peer(*QUIX), at_most=400_000
        ),
        Row("bytewax", "Bytewax 0.21.1: stateful_map in memory", peer(*BYTEWAX)),
    )
}


WINDOWS = {
    row.name: dataclasses.replace(row, options={"windows": True})
    for row in (
        ROWS["limit"],
        ROWS["aiokafka"],
        ROWS["ours"],
        dataclasses.replace(
            ROWS["kafka-streams"], what="Kafka Streams 4.3: windowed aggregate, suppressed until it closes"
        ),
        dataclasses.replace(
            ROWS["quix"], what="Quix Streams 3.28.1: tumbling windows, final", at_most=200_000
        ),
        Row(
            "bytewax",
            "Bytewax 0.21.1: fold_window in memory",
            peer("bytewax_windows", *BYTEWAX[1:]),
            at_most=400_000,
        ),
    )
}
"""The first two know no windows: they are the limit of reading alone."""


@dataclass(frozen=True)
class Setup:
    """What was measured."""

    workload: str
    events: int
    agents: int
    partitions: int
    repetitions: int


@contextmanager
def broker(bootstrap: str | None) -> Iterator[tuple[str, int | None]]:
    """Address, and process id if it is ours, of the given Kafka or of one that is gone afterwards."""
    if bootstrap:
        yield bootstrap, None
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-kafka-") as directory,
        LocalKafka(Path(directory)) as local,
    ):
        yield local.bootstrap, local.pid


@dataclass(frozen=True)
class Loaded:
    """A topic full of events, which all rows read."""

    setup: Setup
    bootstrap: str
    prefix: str
    topic: str
    bytes_per_event: int

    def task(self, run: str, directory: str, events: int, options: dict[str, Any]) -> Task:
        """What a row has to do with it."""
        return Task(
            bootstrap=self.bootstrap,
            topic=self.topic,
            prefix=self.prefix,
            partitions=self.setup.partitions,
            events=events,
            agents=self.setup.agents,
            run=run,
            directory=directory,
            options=options,
        )

    def result(
        self, what: str, events: int, runs: dict[str, list[Measured]], missing: dict[str, str]
    ) -> dict[str, Any]:
        """What was measured with it, as ``--json`` prints it."""
        return {
            "workload": self.setup.workload,
            "what": what,
            "events": events,
            "agents": self.setup.agents,
            "partitions": self.setup.partitions,
            "repetitions": self.setup.repetitions,
            "bytes_per_event": self.bytes_per_event,
            "rows": summary(runs),
            "missing": missing,
        }


def load_topic(
    setup: Setup, workload: Workload, events: int, bootstrap: str, progress: Callable[[str], None]
) -> Loaded:
    """Create topics of this measurement's own, and append so many events."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    layout = topics.Layout(
        prefix=prefix, application=prefix.rstrip("."), partitions=topics.Partitions(events=setup.partitions)
    )
    asyncio.run(topics.create(bootstrap, layout))
    topic = topics.real_name(prefix, "events")
    size = load(
        bootstrap,
        topic,
        workload,
        count=events,
        agents=setup.agents,
        partitions=setup.partitions,
        progress=lambda done: progress(f"loading {done} of {events} events"),
    )
    return Loaded(setup, bootstrap, prefix, topic, round(size / events))


def measure(
    setup: Setup, rows: Sequence[Row], bootstrap: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Load the topic, run the rows in turns; the result as ``--json`` prints it."""
    workload = WORKLOADS[setup.workload]
    loaded = load_topic(setup, workload, setup.events, bootstrap, progress)

    def task(row: Row, run: str, directory: str) -> Task:
        return loaded.task(run, directory, min(setup.events, row.at_most or setup.events), row.options)

    runs, missing = run_in_turns(rows, repetitions=setup.repetitions, make_task=task, progress=progress)
    return loaded.result(workload.what, setup.events, runs, missing)
