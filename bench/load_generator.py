"""Appends events at a fixed rate, however slow the reader is: an open loop.

A process of its own, so that nothing else delays it. What it says: ``start``, the moment for which event 0 was
meant; event ``n`` was meant for ``n / rate`` seconds later, and that is from where its latency counts. At the
end, how late it was itself at most.
"""

from __future__ import annotations

import time

import orjson
from confluent_kafka import Producer

from bench.meter import Meter, say
from models.partition import partition_of

AHEAD = 0.2
"""Seconds from the announcement to the first event."""
NAP = 0.0005
"""Seconds: the shortest sleep worth its while."""


def answer(number: int, agents: int) -> tuple[str, bytes]:
    """Agent id and value of an event that we forward to the fleet log, whatever state the agent is in."""
    seq, position = divmod(number, agents)
    agent_id = f"agent-{position:06d}"
    event = {
        "type": "directive_response",
        "agent_id": agent_id,
        "incarnation": 1,
        "seq": seq,
        "time": round(time.time(), 3),
        "directive_id": f"default.{number}.0",
        "outcome": "progress",
        "progress": 0.5,
    }
    return agent_id, orjson.dumps(event)


def main() -> None:
    task = Meter().task
    rate = task.options["rate"]
    producer = Producer(
        {
            "bootstrap.servers": task.bootstrap,
            "linger.ms": 0,
            "socket.nagle.disable": True,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.list_topics(task.topic, 30)  # connected
    start = time.monotonic() + AHEAD
    say(start=start)
    latest = 0.0
    for number in range(task.events):
        due = start + number / rate
        while (wait := due - time.monotonic()) > 0:
            time.sleep(max(wait, NAP))
        latest = max(latest, -wait)
        agent_id, value = answer(number, task.agents)
        producer.produce(task.topic, value, agent_id, partition_of(agent_id.encode(), task.partitions))
        producer.poll(0)
    producer.flush()
    say(late=latest)


if __name__ == "__main__":
    main()
