"""The limit: librdkafka's own consumer in a loop, orjson, a dictionary; nothing checked, nothing saved."""

from __future__ import annotations

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.meter import Meter


def main() -> None:
    meter = Meter()
    task = meter.task
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": task.run,
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # the default of a second makes it wait for nothing
        }
    )
    consumer.assign(
        [TopicPartition(task.topic, number, OFFSET_BEGINNING) for number in range(task.partitions)]
    )
    state: dict[str, list[object]] = {}
    loads = orjson.loads
    while not meter.finished:
        messages = consumer.consume(2_000, 1.0)
        for message in messages:
            event = loads(message.value())
            row = state.get(event["agent_id"])
            if row is None:
                row = state[event["agent_id"]] = [0, 0, None]
            row[0] = event["seq"]
            row[1] = event["time"]
            row[2] = event.get("current_load") or event.get("metrics") or event.get("progress")
        meter.count(len(messages))
    meter.finish(rows=len(state))
    consumer.close()


if __name__ == "__main__":
    main()
