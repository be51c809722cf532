"""The limit of a restore: librdkafka reads a changelog into a dictionary of bytes, and proves nothing."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.meter import Meter


def main() -> None:
    meter = Meter()
    task = meter.task
    topic = f"{task.options['application']}-agents-changelog"
    consumer = Consumer(
        {"bootstrap.servers": task.bootstrap, "group.id": task.run, "fetch.queue.backoff.ms": 5}
    )
    places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(task.partitions)]
    bounds = [consumer.get_watermark_offsets(place) for place in places]
    left = sum(end - start for start, end in bounds)
    consumer.assign(places)
    rows: dict[bytes, bytes] = {}
    while left > 0:
        messages = consumer.consume(2_000, 1.0)
        for message in messages:
            key, value = message.key(), message.value()
            if value is not None and not key.startswith(b"\0"):
                rows[key] = value
        left -= len(messages)
        meter.count(len(messages))
    meter.finish(rows=len(rows))
    consumer.close()


if __name__ == "__main__":
    main()
