"""Coming back: how long a worker needs for its state, from the changelog alone or from an intact local store."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from bench.runner import Row, in_turns, run, run_in_turns
from bench.throughput import Setup, load_topic, own
from bench.workload import WORKLOADS

ROWS = {
    "restore": {
        "limit": Row(
            "limit", "librdkafka reads the changelog into a dict: nothing proved", own("limit_restore")
        ),
        "ours": Row("ours", "fence, changelog, count and digest, rows decoded", own("ours_restore")),
    },
    "restart": {
        "ours": Row("ours", "local store loaded and proved, tail of the changelog", own("ours_restore")),
        "bounded": Row(
            "bounded",
            "the same, with a tenth of the rows in memory",
            own("ours_restore"),
            options={"share_in_memory": 0.1},
        ),
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
    events = setup.agents + setup.partitions  # the policy in each
    loaded = load_topic(setup, WORKLOADS["windows"], events, bootstrap, progress)
    application = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="bench-") as kept:
        folding = Row("folding what is restored later", "", own("ours"))
        _, failed = in_turns(
            [folding],
            1,
            lambda row: run(row, loaded.task(application, kept, events, {}), patience=120.0),
            progress,
        )
        if failed:
            nothing = dict.fromkeys((row.name for row in rows), f"nothing to restore: {failed[folding.name]}")
            return loaded.result(WHATS[setup.workload], setup.agents, {}, nothing)
        options: dict[str, Any] = {"application": application}
        if setup.workload == "restart":
            options["data_dir"] = kept
        runs, missing = run_in_turns(
            rows,
            repetitions=setup.repetitions,
            make_task=lambda row, unique, directory: loaded.task(
                unique, directory, setup.agents, options | row.options
            ),
            progress=progress,
        )
    return loaded.result(WHATS[setup.workload], setup.agents, runs, missing)
