"""Coming back: how long a worker needs for its state, from the changelog alone or from an intact local store."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.meter import Task
from bench.runner import Row, run, run_in_turns, summary
from bench.throughput import Setup, own
from bench.workload import WORKLOADS, load
from streams import topics

ROWS = {
    "restore": {
        "limit": Row(
            "limit", "librdkafka reads the changelog into a dict: nothing proved", own("limit_restore")
        ),
        "ours": Row("ours", "fence, changelog, count and digest, rows decoded", own("ours_restore")),
    },
    "restart": {
        "ours": Row("ours", "local store loaded and proved, tail of the changelog", own("ours_restore")),
    },
}
WHATS = {
    "restore": "state of all agents from the changelog alone; an event is a record of it",
    "restart": "state of all agents from an intact local store; an event is a row",
}


def measure(
    setup: Setup, rows: Sequence[Row], bootstrap: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Let a worker fold one event of each agent and stop; then time how others take over from it."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    layout = topics.Layout(
        prefix=prefix, application=prefix.rstrip("."), partitions=topics.Partitions(events=setup.partitions)
    )
    asyncio.run(topics.create(bootstrap, layout))
    topic = topics.real_name(prefix, "events")
    size = load(
        bootstrap,
        topic,
        WORKLOADS["windows"],
        count=setup.agents,
        agents=setup.agents,
        partitions=setup.partitions,
        progress=lambda done: progress(f"loading {done} of {setup.agents} agents"),
    )
    application = f"bench-{uuid.uuid4().hex[:8]}"

    def task(row: Row, unique: str, directory: str, **options: object) -> Task:
        return Task(
            bootstrap=bootstrap,
            topic=topic,
            prefix=prefix,
            partitions=setup.partitions,
            events=setup.agents,
            agents=setup.agents,
            run=unique,
            directory=directory,
            options={"application": application, **options},
        )

    with tempfile.TemporaryDirectory(prefix="bench-") as kept:
        progress("folding what is restored later")
        first = Row("first", "", own("ours"))
        run(first, task(first, application, kept), patience=120.0)
        options = {"data_dir": str(Path(kept))} if setup.workload == "restart" else {}
        runs, missing = run_in_turns(
            rows,
            repetitions=setup.repetitions,
            make_task=lambda row, unique, directory: task(row, unique, directory, **options),
            progress=progress,
        )
    return {
        "workload": setup.workload,
        "what": WHATS[setup.workload],
        "events": setup.agents,
        "agents": setup.agents,
        "partitions": setup.partitions,
        "repetitions": setup.repetitions,
        "bytes_per_event": round(size / setup.agents),
        "rows": summary(runs),
        "missing": missing,
    }
