"""Ours, coming back: the whole worker starts on what another left, and the CPU time of its restore is told.

With ``options: {"data_dir": …}`` it finds the local store of the worker before; else only the changelog.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

from bench import coordinator_worker as worker
from bench.meter import Meter, peak_memory, say
from streams.engine import Engine, EngineSettings


class TimedEngine(Engine):
    """Tells what its first restore took."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self.told = asyncio.Event()

    async def restore_partitions(self) -> bool:
        cpu, wall = time.process_time(), time.monotonic()
        complete = await super().restore_partitions()
        table = self.tables["agents"]
        rows = sum(len(task.hashes) for task in table.tasks.values())
        if complete and rows and not self.told.is_set():
            self.told.set()
            say(done=0, cpu=cpu, wall=wall, rss=peak_memory())
            spent, passed = time.process_time(), time.monotonic()
            done = max(rows, table.status()["restored_records"])
            say(done=done, cpu=spent, wall=passed, rss=peak_memory(), rows=rows, cpu_s=round(spent - cpu, 3))
        return complete


def main() -> None:
    task = Meter().task
    settings = worker.settings(task, task.options.get("data_dir"))
    engine = TimedEngine(dataclasses.replace(settings, instance_id="bench"))
    app, events, table = worker.ingress(task, engine, task.options["application"])

    @app.agent(events)
    async def ingress(stream: Any) -> None:
        async for batch in stream:
            table.fold(batch)

    @app.task
    async def finish() -> None:
        await engine.told.wait()
        await app.stop()

    worker.run(app)


if __name__ == "__main__":
    main()
