"""Topics, worker processes and the truth to compare them with, for the counting application."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

ROOT = Path(__file__).parents[3]
START_SECONDS = 45.0
PARTITIONS = {"events": 4, "fleet": 2, "out": 2}


class Worker:
    """A real ``faust worker`` process of the counting application."""

    def __init__(self, lab: Lab, name: str, **environment: str) -> None:
        self.name = name
        self.directory = lab.directory / name
        self.directory.mkdir(exist_ok=True)
        self.log_path = self.directory / f"{time.monotonic_ns()}.log"
        self.status_path = self.directory / "status.json"
        self.status_path.unlink(missing_ok=True)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(
                        str(Path(sys.executable).with_name("faust")),
                        "-A",
                        "tests.integration.engine.counting",
                    ),
                    *("worker", "-l", "info", "--without-web"),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "KAFKA": lab.bootstrap,
                    "PREFIX": lab.prefix,
                    "DATA_DIR": str(self.directory / "data"),
                    "STATUS": str(self.status_path),
                    **environment,
                },
            )
        lab.workers.append(self)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def status(self) -> dict[str, Any] | None:
        try:
            status: dict[str, Any] = json.loads(self.status_path.read_bytes())
        except FileNotFoundError:
            return None
        return status

    async def until(
        self, condition: Callable[[dict[str, Any]], bool], seconds: float = START_SECONDS
    ) -> dict[str, Any]:
        """The first status that fulfils the condition."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if status is not None and condition(status):
                return status
            assert self.process.poll() is None, f"worker {self.name} ended: {self.log[-3000:]}"
            await asyncio.sleep(0.05)
        raise AssertionError(f"worker {self.name} did not get there: {self.status()}\n{self.log[-3000:]}")

    async def until_logged(self, text: str, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert self.process.poll() is None, f"worker {self.name} ended: {self.log[-3000:]}"
            assert time.monotonic() < deadline, f"worker {self.name} never said {text!r}: {self.log[-3000:]}"
            await asyncio.sleep(0.05)

    async def running(self) -> None:
        await self.until(lambda status: status["phase"] == "running")

    async def exit_status(self, seconds: float = START_SECONDS) -> int:
        return await asyncio.to_thread(self.process.wait, seconds)

    async def kill(self) -> None:
        self.process.kill()
        await self.exit_status()

    async def stop(self) -> None:
        """As an operator does; it must be quick and clean."""
        started = time.monotonic()
        self.process.terminate()
        assert await self.exit_status() == 0, self.log[-3000:]
        assert time.monotonic() - started < 10

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Lab:
    """One test's topics, and all that ran on them."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.directory = directory
        self.workers: list[Worker] = []
        self.sent = 0

    async def create_topics(self, fleet_max_bytes: int = 4 << 20) -> None:
        sizes = {"events": 2 << 20, "fleet": fleet_max_bytes, "out": 1 << 20}
        topics = []
        for name, size in sizes.items():
            config = {"max.message.bytes": str(size), "message.timestamp.type": "LogAppendTime"}
            topics.append(NewTopic(self.prefix + name, PARTITIONS[name], 1, topic_configs=config))
        async with AdminClient(self.bootstrap) as admin:
            await admin.create_topics(topics)

    async def produce(self, events: Iterable[dict[str, Any]], per_second: float | None = None) -> None:
        """Append events, keyed, at a rate or at once."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=5 << 20)
        await producer.start()
        try:
            pending = []
            started = time.monotonic()
            for index, event in enumerate(events):
                pending.append(
                    await producer.send(
                        self.prefix + "events", json.dumps(event).encode(), event["k"].encode()
                    )
                )
                self.sent += 1
                if per_second is not None and index % 50 == 0:
                    await asyncio.sleep(max(0.0, started + index / per_second - time.monotonic()))
            await asyncio.gather(*pending)
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """All records of a topic, in order per partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            name = self.prefix + topic
            partitions = [TopicPartition(name, partition) for partition in range(PARTITIONS[topic])]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            records = []
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += batch
            return records
        finally:
            await consumer.stop()

    async def everything_is_exact(self, worker: Worker) -> None:
        """Both folds of a single worker hold what one pass over their logs gives, and put out just that."""
        await worker.until(lambda status: total_position(status, "first") >= self.sent)
        fleet = await self.read("fleet")
        status = await worker.until(lambda status: total_position(status, "second") >= len(fleet))
        for table, topic in (("first", "events"), ("second", "fleet")):
            assert status["rows"][table] == fold_all(await self.read(topic))
        await self.outputs_are_exact("events", "fleet")
        await self.outputs_are_exact("fleet", "out")

    async def outputs_are_exact(self, source: str, target: str) -> None:
        """Each record caused its output, never two different ones."""
        seen: dict[tuple[str, bytes], bytes] = {}
        for record in await self.read(target):
            origin = json.loads(record.value)["k"], dict(record.headers)["origin"]
            assert seen.setdefault(origin, record.value) == record.value, "one cause, two outputs"
        expected = {(json.loads(r.value)["k"], b"%d" % r.offset) for r in await self.read(source)}
        assert set(seen) == expected

    async def end(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                await worker.exit_status()


class AdminClient:
    """``AIOKafkaAdminClient`` as a context manager."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._admin.start()
        return self._admin

    async def __aexit__(self, *exception: object) -> None:
        await self._admin.close()


def total_position(status: dict[str, Any], table: str) -> int:
    """Records whose state is saved, and whose outputs are acked."""
    return sum(
        partition["saved_position"] or 0 for partition in status["tables"][table]["partitions"].values()
    )


def fold_all(records: Iterable[Any]) -> dict[str, list[int]]:
    """What the counting fold must come to, written down in another way."""
    rows: dict[str, list[int]] = {}
    for record in records:
        event = json.loads(record.value)
        key = f"{record.partition}/counts/{event['k']}"
        before = rows.get(key, [0, 0, -1])
        rows[key] = [before[0] + 1, before[1] + event["n"], record.offset]
        if event.get("forget"):
            del rows[key]
        clock = f"{record.partition}/clock/"
        rows[clock] = [rows.get(clock, [0, 0, -1])[0] + 1, 0, record.offset]
    return rows


def numbered(count: int, keys: int = 60, start: int = 0) -> list[dict[str, Any]]:
    """Plain events; one in eleven makes the fold forget its key."""
    return [
        {"k": f"key-{i * 7919 % keys}", "n": i, **({"forget": True} if i % 11 == 0 else {})}
        for i in range(start, start + count)
    ]
