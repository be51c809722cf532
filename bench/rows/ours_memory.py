"""Our state alone: the ingress fold of each partition and the engine's books about its rows, no worker around it.

The last record of each partition closes all windows, so it is kept back until the open ones have been measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.meter import Meter, Task, memory_now
from models.fold import LogRecord
from models.ingress import IngressFold
from streams.engine.batches import RecordBatch
from streams.engine.store import LocalStore
from streams.engine.task import PartitionTask

BATCH = 5_000


def records(task: Task, partition: int) -> Iterator[LogRecord]:
    consumer = Consumer(
        {"bootstrap.servers": task.bootstrap, "group.id": task.run, "fetch.queue.backoff.ms": 5}
    )
    place = TopicPartition(task.topic, partition, OFFSET_BEGINNING)
    _, left = consumer.get_watermark_offsets(place)
    consumer.assign([place])
    while left:
        for message in consumer.consume(min(left, BATCH), 1.0):
            yield LogRecord(message.offset(), message.timestamp()[1], message.key(), message.value())
            left -= 1
    consumer.close()


def fold(state: PartitionTask, read: list[LogRecord]) -> None:
    """Fold, and do the books of a checkpoint, as the engine does."""
    end = read[-1].offset + 1
    state.fold_batch(RecordBatch(state.topic, state.partition, state.position, end, read, end))
    state.begin_checkpoint()


def main() -> None:
    meter = Meter()
    task = meter.task
    partitions = {"events": task.partitions, "fleet": 1}
    states = [
        PartitionTask(
            table="agents",
            topic=task.topic,
            partition=number,
            fold=IngressFold(number, partitions, topic=task.topic),
            store=LocalStore(Path(task.directory), "agents", number),
            position=0,
            epoch=0,
        )
        for number in range(task.partitions)
    ]
    next(records(task, 0))  # what a Kafka client costs is no agent's
    empty = memory_now()
    kept_back = []
    for state in states:
        coming = records(task, state.partition)
        last: list[LogRecord] = []
        while batch := last + list(islice(coming, BATCH)):
            if len(batch) == len(last):
                break
            last = [batch.pop()]
            fold(state, batch)
            meter.count(len(batch))
        kept_back.append(last)
    opened = memory_now() - empty
    for state, last in zip(states, kept_back, strict=True):
        fold(state, last)
        meter.count(len(last))
    closed = memory_now() - empty
    rows = sum(len(state.fold.tables["agents"].rows) for state in states)
    assert not any(row.window for state in states for row in state.fold.tables["agents"].rows.values())
    meter.finish(rows=rows, open_bytes=round(opened / rows), closed_bytes=round(closed / rows))


if __name__ == "__main__":
    main()
