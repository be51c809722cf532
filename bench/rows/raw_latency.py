"""A raw loop: aiokafka consumes, orjson parses, aiokafka produces; nothing checked, nothing kept."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.meter import Meter, say


async def main() -> None:
    task = Meter().task
    consumer = AIOKafkaConsumer(bootstrap_servers=task.bootstrap, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=task.bootstrap, acks="all", enable_idempotence=True)
    output = f"{task.prefix}fleet"

    async def forward() -> None:
        async for record in consumer:
            event = orjson.loads(record.value)
            value = b'{"type":"%s","event":%s}' % (event["type"].encode(), record.value)
            await producer.send(output, value, b"default", partition=0)

    async with consumer, producer:
        consumer.assign([TopicPartition(task.topic, number) for number in range(task.partitions)])
        forwarding = asyncio.ensure_future(forward())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, forwarding.cancel)
        say(ready=True)
        with contextlib.suppress(asyncio.CancelledError):
            await forwarding


if __name__ == "__main__":
    asyncio.run(main())
