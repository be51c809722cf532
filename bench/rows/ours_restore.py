"""Ours, coming back: the whole worker starts on what another left, and the CPU time of its restore is told.

With ``options: {"store": "kept"}`` it finds the local store of the worker before; else only the changelog.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import faust

from bench.meter import Meter, peak_memory, say
from models.ingress import IngressFold
from streams.engine import Engine, EngineSettings, install, tune_garbage_collector


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
    engine = TimedEngine(
        EngineSettings(
            bootstrap_servers=task.bootstrap,
            topic_prefix=task.prefix,
            data_dir=Path(task.options.get("data_dir", task.directory)),
            instance_id="bench",
        )
    )
    app = faust.App(task.options["application"], **engine.faust_settings())
    install(app, engine)
    events = engine.topic("events", partitions=task.partitions)
    partitions = {"events": task.partitions, "fleet": 1}
    table = engine.table("agents", source=events, make_fold=lambda number: IngressFold(number, partitions))

    @app.agent(events)
    async def ingress(stream: Any) -> None:
        async for batch in stream:
            table.fold(batch)

    @app.task
    async def finish() -> None:
        await engine.told.wait()
        await app.stop()

    tune_garbage_collector()
    worker = faust.Worker(app, loglevel="error", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
