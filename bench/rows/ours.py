"""Ours: the ingress fold in a Faust worker on our engine, as in production.

Every event is validated, deduplicated, accounted for and folded; windows, facts for the fleet log, table,
changelog, local store and checkpoints are part of it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import faust

from bench.meter import Meter
from models.ingress import IngressFold
from streams.engine import Engine, EngineSettings, install, tune_garbage_collector
from streams.topics import changelog_name


def main() -> None:
    meter = Meter()
    task = meter.task
    engine = Engine(
        EngineSettings(
            bootstrap_servers=task.bootstrap,
            topic_prefix=task.prefix,
            data_dir=Path(task.directory),
            **task.options.get("engine", {}),
        )
    )
    app = faust.App(task.run, **engine.faust_settings())
    install(app, engine)
    events = engine.topic("events", partitions=task.partitions)
    partitions = {"events": task.partitions, "fleet": 1}
    table = engine.table("agents", source=events, make_fold=lambda number: IngressFold(number, partitions))
    assert table.changelog_topic_name == changelog_name(task.run, "agents")

    done = asyncio.Event()

    @app.agent(events)
    async def ingress(stream: Any) -> None:
        async for batch in stream:
            table.fold(batch)
            meter.count(len(batch))
            if meter.finished:
                done.set()

    @app.task
    async def finish() -> None:
        await done.wait()
        await engine.checkpoint()
        rows = sum(len(one.fold.tables["agents"].rows) for one in table.tasks.values())
        for one in table.tasks.values():
            one.fold.validate()
        meter.finish(rows=rows)
        await app.stop()

    tune_garbage_collector()
    worker = faust.Worker(app, loglevel="error", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
