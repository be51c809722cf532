"""Our whole worker, when all is folded and saved and all windows are closed, less what it held before it began."""

from __future__ import annotations

import asyncio
from typing import Any

from bench import coordinator_worker as worker
from bench.meter import Meter, memory_now
from streams.engine import Engine


class IdleEngine(Engine):
    """Measures itself before the first record."""

    idle = 0

    async def start(self) -> None:
        await super().start()
        self.idle = memory_now()


def main() -> None:
    meter = Meter()
    task = meter.task
    engine = IdleEngine(worker.settings(task))
    app, events, table = worker.ingress(task, engine)
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
        held = memory_now() - engine.idle
        rows = sum(len(one.fold.tables["agents"]) for one in table.tasks.values())
        meter.finish(rows=rows, closed_bytes=round(held / rows))
        await app.stop()

    worker.run(app)


if __name__ == "__main__":
    main()
