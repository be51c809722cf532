"""What asyncio allows at most: aiokafka's public ``getmany``, orjson, a dictionary; no checks, nothing saved."""

from __future__ import annotations

import asyncio

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.meter import Meter


async def main() -> None:
    meter = Meter()
    task = meter.task
    state: dict[str, list[object]] = {}
    loads = orjson.loads
    consumer = AIOKafkaConsumer(bootstrap_servers=task.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(task.topic, number) for number in range(task.partitions)])
        await consumer.seek_to_beginning()
        while not meter.finished:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=5_000)).values():
                for record in records:
                    event = loads(record.value)
                    row = state.get(event["agent_id"])
                    if row is None:
                        row = state[event["agent_id"]] = [0, 0, None]
                    row[0] = event["seq"]
                    row[1] = event["time"]
                    row[2] = event.get("current_load") or event.get("metrics") or event.get("progress")
                meter.count(len(records))
        meter.finish(rows=len(state))


if __name__ == "__main__":
    asyncio.run(main())
