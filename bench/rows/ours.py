"""Ours: the ingress fold in a Faust worker on our engine, as in production.

Every event is validated, deduplicated, accounted for and folded; windows, facts for the fleet log, table,
changelog, local store and checkpoints are part of it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench import coordinator_worker as worker
from bench.meter import Meter
from streams.engine import Engine
from streams.folds import ingress_fold


def main() -> None:
    meter = Meter()
    task = meter.task
    engine = Engine(worker.settings(task))
    app, events, table = worker.ingress(task, engine)
    done = asyncio.Event()
    closed = 0

    @app.agent(events)
    async def ingress(stream: Any) -> None:
        nonlocal closed
        async for batch in stream:
            outputs = table.fold(batch)
            if task.options.get("windows"):
                closed += sum(output.value.count(b'"mean"') for output in outputs if output.value)
            meter.count(len(batch))
            if meter.finished:
                done.set()

    @app.task
    async def finish() -> None:
        await done.wait()
        await engine.checkpoint()
        folds = [ingress_fold(one) for one in table.tasks.values()]
        for fold in folds:
            fold.validate()
        rows = sum(len(fold.tables["agents"]) for fold in folds)
        meter.finish(rows=rows, **({"closed": closed} if task.options.get("windows") else {}))
        await app.stop()

    worker.run(app)


if __name__ == "__main__":
    main()
