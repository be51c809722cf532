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
from streams.batches import RecordBatch
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


def fold(state: PartitionTask, read: list[LogRecord]) -> int:
    """Fold, and do the books of a checkpoint, as the engine does; how many agents' windows were closed."""
    end = read[-1].offset + 1
    batch = RecordBatch(state.topic, state.partition, state.position, end, read, end)
    _, outputs = state.fold_batch(batch)
    state.begin_checkpoint()
    return sum((output.value or b"").count(b'"mean"') for output in outputs)


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
    windows = 0
    for state, last in zip(states, kept_back, strict=True):
        windows += fold(state, last)
        meter.count(len(last))
    closed = memory_now() - empty
    rows = sum(len(state.fold.tables["agents"]) for state in states)
    assert windows == rows, "all of them were open until now"
    meter.finish(rows=rows, open_bytes=round(opened / rows), closed_bytes=round(closed / rows))


if __name__ == "__main__":
    main()
