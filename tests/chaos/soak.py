"""``make soak``: a worker under half of what it can do for half an hour, killed now and then. Does anything grow?

Settings: ``SOAK_MINUTES``, ``SOAK_RATE`` (events a second; by default half of what is measured first),
``SOAK_SEED``, ``SOAK_DIRECTORY`` as for ``make chaos``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from confluent_kafka import Producer

from bench.workload import WORKLOADS, load
from models.partition import partition_of
from streams import topics
from streams.kafka import LocalKafka
from tests.chaos.gauges import Gauges, Recorder, positions, records_by_outcome
from tests.chaos.run import end_in_order, picture
from tests.crash.worker_process import WorkerProcess

PARTITIONS = 4
AGENTS = 10_000
MEASURED_EVENTS = 400_000
KEEPING_UP = 0.5
"""Seconds of events that a worker may be behind and still count as at the end of the log."""
CATCH_UP = 120.0
BETWEEN_KILLS = 20.0, 45.0
UNDISTURBED = 1 / 3
"""Share of the time, the last, in which nobody kills it: what grows within a life shows only in a long one."""
GROWTH = 1.15
"""What a gauge's peak in the last third may be of that in the second, and be called bounded."""
SLACK = {"memory": 16 << 20, "files": 20, "threads": 4, "store": 16 << 20}


@dataclass(slots=True)
class Flood:
    """Events of ten thousand agents at a steady rate, from a thread of its own."""

    bootstrap: str
    topic: str
    rate: float
    sent: int = 0
    stopping: bool = False

    def run(self) -> None:
        chance = random.Random(1)
        value = WORKLOADS["throughput"].value
        agents = [
            (name, partition_of(name.encode(), PARTITIONS))
            for name in (f"agent-{number:06d}" for number in range(AGENTS))
        ]
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
        )
        began = time.monotonic()
        for seq in itertools.count(MEASURED_EVENTS):  # beyond those of the measurement
            for name, home in agents:
                if self.stopping:
                    producer.flush()
                    return
                event = orjson.dumps(value(chance, name, seq, round(time.time(), 3)))
                producer.produce(self.topic, event, name, home)
                self.sent += 1
                if self.sent % 500 == 0:
                    producer.poll(0)
                    ahead = self.sent / self.rate - (time.monotonic() - began)
                    if ahead > 0:
                        time.sleep(ahead)


class Soak:
    """One run."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self._bootstrap = bootstrap
        self._prefix = f"soak-{uuid.uuid4().hex[:8]}."
        self._topic = topics.real_name(self._prefix, "events")
        self._worker = WorkerProcess(bootstrap, self._prefix, directory / "worker")
        self._recorder = Recorder(directory / "gauges.jsonl")

    def run(self, minutes: float, rate: float | None, seed: int) -> bool:
        """Whether everything was bounded and the lag came back each time."""
        chance = random.Random(seed)
        layout = topics.Layout(
            self._prefix, self._prefix.rstrip("."), topics.Partitions(events=PARTITIONS, fleet=1)
        )
        asyncio.run(topics.create(self._bootstrap, layout))
        measured = self._measure()
        rate = rate or measured / 2
        print(
            f"measured {measured:,.0f} events/s; soaking at {rate:,.0f} for {minutes:g} minutes", flush=True
        )
        flood = Flood(self._bootstrap, self._topic, rate)
        thread = threading.Thread(target=flood.run)
        thread.start()
        end = time.monotonic() + minutes * 60
        recoveries: list[float] = []
        try:
            while (left := end - time.monotonic()) > minutes * 60 * UNDISTURBED:
                self._watch(min(chance.uniform(*BETWEEN_KILLS), left - minutes * 60 * UNDISTURBED))
                recoveries.append(self._kill(rate))
            self._watch(left)
        finally:
            flood.stopping = True
            thread.join()
        behind = self._settle(flood.sent + MEASURED_EVENTS)
        accounted = sum(records_by_outcome(self._worker, self._topic).values())
        status = self._worker.stop()
        print(f"\nseed {seed}: {flood.sent:,} events at {rate:,.0f}/s, {len(recoveries)} kills", flush=True)
        print(f"  at the end of the log again after {max(recoveries):.1f} s at most", flush=True)
        verdicts = [
            self._verdict(name, [getattr(one, name) for one in self._recorder.seen])
            for name in ("memory", "files", "threads", "store")
        ]
        if behind or status:
            print(f"  {behind} events were never folded; the worker ended with {status}")
        total = flood.sent + MEASURED_EVENTS
        print(f"  outcomes sum to {accounted:,} beyond ticks, {total:,} were sent")
        return all(verdicts) and not behind and not status and accounted == total

    def end(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._worker.running:
            self._worker.kill()

    def _measure(self) -> float:
        """Events a second that the worker sees through when they are all there."""
        load(
            self._bootstrap,
            self._topic,
            WORKLOADS["throughput"],
            count=MEASURED_EVENTS,
            agents=AGENTS,
            partitions=PARTITIONS,
            progress=lambda done: None,
        )
        self._worker.start()
        first: tuple[float, int] | None = None
        while True:
            folded = self._folded()
            if folded and first is None:
                first = time.monotonic(), folded
            if first is not None and folded >= MEASURED_EVENTS:
                return (folded - first[1]) / max(time.monotonic() - first[0], 0.1)
            time.sleep(0.1)

    def _folded(self) -> int:
        return sum(
            position for (topic, _), position in positions(self._worker).items() if topic == self._topic
        )

    def _watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            gauges = self._look()
            if not self._worker.running:
                raise SystemExit(f"the worker ended by itself:\n{self._worker.log[-3000:]}")
            print(
                f"\r{gauges.seconds:6.0f} s  lag {gauges.lag:9,}  memory {gauges.memory / 1e6:4.0f} MB  "
                f"files {gauges.files:3}  store {gauges.store / 1e6:4.0f} MB ",
                end="",
                flush=True,
            )
            time.sleep(1)

    def _look(self) -> Gauges:
        return self._recorder.look([self._worker])

    def _kill(self, rate: float) -> float:
        """Kill and start; how long until it was at the end of the log again."""
        self._recorder.fault("kill")
        began = time.monotonic()
        self._worker.kill()
        self._worker.start()
        while time.monotonic() - began < CATCH_UP:
            gauges = self._look()
            if gauges.open >= PARTITIONS and gauges.lag <= rate * KEEPING_UP:
                return time.monotonic() - began
            time.sleep(0.5)
        raise SystemExit(f"{CATCH_UP:.0f} s after a kill it is still {gauges.lag} records behind")

    def _settle(self, total: int) -> int:
        """Wait until everything was folded; what was not."""
        until = time.monotonic() + CATCH_UP
        while (folded := sum(records_by_outcome(self._worker, self._topic).values())) < total:
            if time.monotonic() > until:
                break
            time.sleep(0.2)
        return max(0, total - folded)

    def _verdict(self, name: str, values: Sequence[int]) -> bool:
        third = max(1, len(values) // 3)
        before, after = max(values[third : 2 * third], default=0), max(values[2 * third :], default=0)
        bounded = after <= before * GROWTH + SLACK[name]
        unit = 1e6 if name in ("memory", "store") else 1
        print(
            f"  {name:8} at most {max(values) / unit:7.0f}{' MB' if unit > 1 else ''}; second third "
            f"{before / unit:.0f}, last third {after / unit:.0f}: {'bounded' if bounded else 'GROWS'}"
        )
        return bounded


def main() -> int:
    end_in_order()
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    rate = float(os.environ["SOAK_RATE"]) if "SOAK_RATE" in os.environ else None
    seed = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    kept = os.environ.get("SOAK_DIRECTORY")
    directory = Path(kept or tempfile.mkdtemp(prefix="soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    print(f"SOAK_SEED={seed}  in {directory}", flush=True)
    with LocalKafka(directory / "kafka") as broker:
        soak = Soak(broker.bootstrap, directory)
        try:
            good = soak.run(minutes, rate, seed)
        finally:
            soak.end()
    picture(directory / "gauges.jsonl", Path("soak.png"))
    print("good" if good else "NOT GOOD")
    if good and not kept:
        shutil.rmtree(directory)
    else:
        print(f"logs, gauges and stores are in {directory}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
