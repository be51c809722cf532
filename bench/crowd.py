"""A whole fleet and its clients in one process, as lean as it can be, so that the coordinator is what is measured.

Tasks are submitted at a fixed rate, an open loop: each is timed from the moment that was meant for it. Agents
accept a directive when they get it, work for a while, and complete it; each says once a second that it lives. One
thread, librdkafka below; what it says: ``ready``, then at the end all times in milliseconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import Any

import orjson
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from bench.meter import Meter, say
from models.partition import partition_of

NAP = 0.0005
"""Seconds: the shortest sleep worth its while."""
SKILLS = 8
DRAIN = 30.0
"""Seconds after the last submission in which all must have ended."""


class Crowd:
    """Agents ``agent-000000`` … with ``slots`` each, and the tasks ``task-<n>``."""

    def __init__(self, meter: Meter) -> None:
        task = meter.task
        self.task = task
        self.agents: int = task.agents
        self.rate: float = task.options["rate"]
        self.work: float = task.options["work"]
        self.slots: int = task.options["slots"]
        self.coalitions: float = task.options["coalitions"]
        self.start = 0.0
        self.assigned: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.directives = self.repeats = 0
        self._seen: set[str] = set()
        self._working: deque[tuple[float, dict[str, Any]]] = deque()
        self._seq = [0] * self.agents
        self._beats = 0
        self._producer = Producer(
            {
                "bootstrap.servers": task.bootstrap,
                "linger.ms": 1,
                "socket.nagle.disable": True,
                "queue.buffering.max.messages": 1_000_000,
                "enable.idempotence": True,
                "log_level": 3,
            }
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": task.bootstrap,
                "group.id": task.run,
                "fetch.wait.max.ms": 10,
                "log_level": 3,
            }
        )

    def listen(self) -> None:
        """From now on every directive and result is heard."""
        places = []
        for topic in ("directives", "results"):
            name = self.task.prefix + topic
            found = self._consumer.list_topics(name, 30).topics[name]
            places += [TopicPartition(name, partition, OFFSET_END) for partition in found.partitions]
        self._consumer.assign(places)
        self._consumer.poll(1.0)

    def say(self, subject: str, event: dict[str, object]) -> None:
        self._producer.produce(
            self.task.topic,
            orjson.dumps(event),
            subject,
            partition_of(subject.encode(), self.task.partitions),
        )

    def agent_says(self, number: int, event: dict[str, object]) -> None:
        name = f"agent-{number:06d}"
        seq = self._seq[number]
        self._seq[number] = seq + 1
        self.say(name, {**event, "agent_id": name, "incarnation": 1, "seq": seq})

    def register(self) -> None:
        for number in range(self.agents):
            skills = [f"skill-{number % SKILLS}", f"skill-{(number // SKILLS) % SKILLS}"]
            registration = {
                "type": "agent_registered",
                "capabilities": sorted(set(skills)),
                "slots": self.slots,
            }
            self.agent_says(number, registration)
        self._producer.flush()

    def submit(self, number: int) -> None:
        name = f"task-{number}"
        event: dict[str, object] = {"type": "task_submitted", "task_id": name, "payload": number}
        if number * self.coalitions % 1 + self.coalitions >= 1:
            event["coalition"] = {"cover": [f"skill-{number % SKILLS}", f"skill-{(number + 1) % SKILLS}"]}
        else:
            event["requires"] = {"capabilities": [f"skill-{number % SKILLS}"]}
        self.say(name, event)

    def beat(self, now: float) -> None:
        """Whose turn it is says that it lives: all of them once a second."""
        due = int((now - self.start) * self.agents)
        while self._beats < due:
            self.agent_says(self._beats % self.agents, {"type": "status_update", "status": "active"})
            self._beats += 1

    def hear(self) -> int:
        messages = self._consumer.consume(1_000, 0)
        now = time.monotonic()
        for message in messages:
            if message.error():
                raise RuntimeError(str(message.error()))
            value = orjson.loads(message.value())
            if message.topic().endswith("results"):
                self.ended.setdefault(value["task_id"], now)
            else:
                self._obey(value, now)
        return len(messages)

    def _obey(self, directive: dict[str, Any], now: float) -> None:
        self.directives += 1
        if directive["directive_id"] in self._seen:
            self.repeats += 1
            return
        self._seen.add(directive["directive_id"])
        number = int(directive["agent_id"][6:])
        kind = directive["type"]
        if kind in ("assign_task", "join_coalition"):
            self.assigned.setdefault(directive["task_id"], now)
            self.answer(number, directive, "accepted")
            if kind == "assign_task":
                self._working.append((now + self.work, directive))
        else:
            self.answer(number, directive, "completed")

    def answer(self, number: int, directive: dict[str, Any], outcome: str) -> None:
        answer = {"type": "directive_response", "directive_id": directive["directive_id"], "outcome": outcome}
        self.agent_says(number, answer)

    def finish_work(self, now: float) -> None:
        while self._working and self._working[0][0] <= now:
            _, directive = self._working.popleft()
            self.answer(int(directive["agent_id"][6:]), directive, "completed")

    def turn(self, now: float) -> int:
        """Everything but submissions; how much there was to hear."""
        self.beat(now)
        self.finish_work(now)
        heard = self.hear()
        self._producer.poll(0)
        return heard

    def flush(self) -> None:
        self._producer.flush(10)
        self._consumer.close()


def main() -> None:
    meter = Meter()
    crowd = Crowd(meter)
    crowd.listen()
    crowd.register()
    say(ready=True)
    sys.stdin.readline()  # until the coordinator knows them all
    total = meter.task.events
    start = crowd.start = time.monotonic()
    cpu = time.process_time()
    number, latest = 0, 0.0
    while number < total:
        now = time.monotonic()
        due = min(total, int((now - start) * crowd.rate) + 1)
        if number < due:
            latest = max(latest, now - start - number / crowd.rate)
        while number < due:
            crowd.submit(number)
            number += 1
        if not crowd.turn(now) and number >= due:
            time.sleep(NAP)
    until = time.monotonic() + DRAIN
    while len(crowd.ended) < total and time.monotonic() < until:
        if not crowd.turn(time.monotonic()):
            time.sleep(NAP)
    last = max(crowd.ended.values(), default=start)
    cpu = time.process_time() - cpu
    crowd.flush()
    meant = {f"task-{one}": start + one / crowd.rate for one in range(total)}
    print(
        json.dumps(
            {
                "late": latest,
                "seconds": last - start,
                "cpu": cpu,
                "directives": crowd.directives,
                "repeats": crowd.repeats,
                "assigned": [round((at - meant[name]) * 1000, 2) for name, at in crowd.assigned.items()],
                "ended": [round((at - meant[name]) * 1000, 2) for name, at in crowd.ended.items()],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
