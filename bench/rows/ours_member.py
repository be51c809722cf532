"""Ours, as one of several workers of a group: it folds its share of the partitions, and stays until all are done.

It starts to fold when the group is complete, so that no event is folded by a worker that is alone yet.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench import coordinator_worker as worker
from bench.meter import Meter
from streams.engine import Engine, EngineSettings


class PatientEngine(Engine):
    """Opens no partition before the group is complete."""

    def __init__(self, settings: EngineSettings, share: int) -> None:
        super().__init__(settings)
        self._share = share

    async def _restore_all(self) -> None:
        # The next rebalance abandons this; Faust has no event for it.
        while self._assigned() > self._share:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await super()._restore_all()

    def _assigned(self) -> int:
        return sum(not tp.topic.endswith("-changelog") for tp in self.app.consumer.assignment())


def main() -> None:
    meter = Meter()
    task = meter.task
    members, number = task.options["members"], task.options["member"]
    engine = PatientEngine(worker.settings(task), task.partitions // members)
    app, events, table = worker.ingress(task, engine, task.options["application"])
    done = asyncio.Event()

    def know_share(_task: object) -> None:
        if len(table.tasks) == task.partitions // members:
            consumer = Consumer({"bootstrap.servers": task.bootstrap, "group.id": task.run})
            share = sum(
                consumer.get_watermark_offsets(TopicPartition(task.topic, number))[1]
                for number in table.tasks
            )
            consumer.close()
            meter.task = dataclasses.replace(task, events=share)

    table.on_open.append(know_share)

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
        meter.finish(events=meter.task.events)
        await asyncio.to_thread(wait_for_others, Path(task.options["finished"]), number, members)
        await app.stop()

    worker.run(app)


def wait_for_others(finished: Path, number: int, members: int) -> None:
    """Return when all are done: whoever left before would have the others rebalance."""
    (finished / str(number)).touch()
    while len(list(finished.iterdir())) < members:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
