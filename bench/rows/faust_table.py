"""Stock Faust: an agent that keeps each agent's newest state in a table in memory, with its changelog."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ.setdefault("FAUST_LOOP", "asyncio")

import faust

from bench.meter import Meter


def main() -> None:
    meter = Meter()
    task = meter.task
    app = faust.App(
        task.run,
        broker=f"kafka://{task.bootstrap}",
        store="memory://",
        datadir=task.directory,
        topic_disable_leader=True,
        topic_partitions=task.partitions,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    events = app.topic(task.topic, value_serializer="json", partitions=task.partitions)
    state = app.Table("state", default=list, partitions=task.partitions)
    done = asyncio.Event()

    @app.agent(events)
    async def fold(stream: Any) -> None:
        async for event in stream:
            newest = event.get("current_load") or event.get("metrics") or event.get("progress")
            state[event["agent_id"]] = [event["seq"], event["time"], newest]
            meter.count(1)
            if meter.finished:
                done.set()

    @app.task
    async def finish() -> None:
        await done.wait()
        meter.finish(rows=len(state))
        os._exit(0)  # its stop waits for this very task

    worker = faust.Worker(app, loglevel="error", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
