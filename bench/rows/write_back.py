"""The limit with durability: librdkafka, orjson, a dictionary, and once a second RocksDB and changelog."""

from __future__ import annotations

import time

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from bench.meter import Meter

COMMIT_EVERY = 1.0


def main() -> None:
    meter = Meter()
    task = meter.task
    settings = {"bootstrap.servers": task.bootstrap}
    consumer = Consumer(
        {**settings, "group.id": task.run, "enable.auto.commit": False, "fetch.queue.backoff.ms": 5}
    )
    producer = Producer(
        {**settings, "linger.ms": 5, "enable.idempotence": True, "batch.num.messages": 10_000}
    )
    store = Rdict(f"{task.directory}/store", Options(raw_mode=True))
    consumer.assign(
        [TopicPartition(task.topic, number, OFFSET_BEGINNING) for number in range(task.partitions)]
    )
    changelog = f"{task.prefix}fleet"  # any topic will do: what counts is the work of writing it
    state: dict[str, list[object]] = {}
    dirty: dict[str, None] = {}

    def commit() -> None:
        batch = WriteBatch(raw_mode=True)
        for key in dirty:
            row = orjson.dumps(state[key])
            batch.put(key.encode(), row)
            producer.produce(changelog, row, key)
            producer.poll(0)
        producer.flush()
        store.write(batch)
        dirty.clear()

    committed = time.monotonic()
    loads = orjson.loads
    while not meter.finished:
        messages = consumer.consume(2_000, 1.0)
        for message in messages:
            event = loads(message.value())
            agent_id = event["agent_id"]
            row = state.get(agent_id)
            if row is None:
                row = state[agent_id] = [0, 0, None]
            row[0] = event["seq"]
            row[1] = event["time"]
            row[2] = event.get("current_load") or event.get("metrics") or event.get("progress")
            dirty[agent_id] = None
        if time.monotonic() - committed > COMMIT_EVERY:
            commit()
            committed = time.monotonic()
        meter.count(len(messages))
    commit()
    meter.finish(rows=len(state))
    consumer.close()
    store.close()


if __name__ == "__main__":
    main()
