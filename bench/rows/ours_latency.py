"""Ours: the ingress fold in a worker as in production, whose facts go to the fleet log. It runs until SIGTERM."""

from __future__ import annotations

from typing import Any

from bench import coordinator_worker as worker
from bench.meter import Meter, say
from streams.engine import Engine


class AnnouncedEngine(Engine):
    """Says when its partitions are open."""

    def partitions_running(self) -> None:
        super().partitions_running()
        say(ready=True)


def main() -> None:
    task = Meter().task
    app, events, table = worker.ingress(task, AnnouncedEngine(worker.settings(task)))

    @app.agent(events)
    async def ingress(stream: Any) -> None:
        async for batch in stream:
            table.fold(batch)

    worker.run(app)


if __name__ == "__main__":
    main()
