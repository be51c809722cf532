"""The events that are measured: what a fleet of agents says, deterministic, loaded once and read by every row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
from confluent_kafka import Producer

from models.partition import partition_of

SEED = 20261122
BEAT = 1.0
"""Seconds of event time between two events of an agent."""


@dataclass(frozen=True)
class Workload:
    """One kind of traffic."""

    name: str
    what: str
    """For people."""
    value: Callable[[random.Random, str, int, float], dict[str, object]]
    """``(chance, agent_id, seq, time) -> event``."""
    policy: dict[str, object] | None = None
    """In force from the first record of each partition on; ``None`` for the default."""
    last_policy: dict[str, object] | None = None
    """That of the last record of each partition."""


def _mixed(chance: random.Random, agent_id: str, seq: int, at: float) -> dict[str, object]:
    """Six heartbeats to three metric reports to one response, about 150 bytes each."""
    kind = chance.random()
    event: dict[str, object] = {
        "type": "status_update",
        "agent_id": agent_id,
        "incarnation": 1,
        "seq": seq,
        "time": at,
    }
    if kind < 0.6:
        return {**event, "status": "active"}
    if kind < 0.9:
        metrics = {"cpu": round(chance.random(), 4), "queue": chance.randrange(20)}
        return {**event, "type": "metric_report", "metrics": metrics}
    answer = {
        "directive_id": f"default.{seq}.0",
        "outcome": "progress",
        "progress": round(chance.random(), 3),
    }
    return {**event, "type": "directive_response", **answer}


def _beats(chance: random.Random, agent_id: str, seq: int, at: float) -> dict[str, object]:
    """Ninety-nine heartbeats to one metric report."""
    event = {"agent_id": agent_id, "incarnation": 1, "seq": seq, "time": at}
    if chance.random() < 0.99:
        return {"type": "status_update", **event, "status": "active"}
    return {"type": "metric_report", **event, "metrics": {"cpu": round(chance.random(), 4)}}


def _loads(chance: random.Random, agent_id: str, seq: int, at: float) -> dict[str, object]:
    """Heartbeats with the agent's load, each of them a sample in a window; about 150 bytes."""
    beat = {"type": "status_update", "agent_id": agent_id, "incarnation": 1, "seq": seq, "time": at}
    return {**beat, "status": "active", "current_load": round(chance.random(), 4)}


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("throughput", "heartbeats, metric reports and responses, 6:3:1", _mixed),
        Workload("heartbeats", "heartbeats, and a metric report now and then, 99:1", _beats),
        Workload(
            "windows",
            "heartbeats with a load, in 10 s event-time windows that close on the way",
            _loads,
            # Topics are loaded faster than time passes, and events from the future count as no later than this.
            policy={"windows": {"max_skew": 3_600}},
        ),
    )
}


def policy_record(policy: dict[str, object], version: int = 1) -> bytes:
    """What puts a policy in force in the partition where it stands.

    It has the fields of an agent's event as well, which we ignore, so that peers read it like any other event.
    """
    record = {"type": "policy_accepted", "version": version, "policy": policy}
    return orjson.dumps({**record, "agent_id": "policy", "seq": version, "time": round(time.time(), 3)})


def _registered(chance: random.Random, agent_id: str, seq: int, at: float) -> dict[str, object]:
    """First what an agent is, then that it works."""
    event = {"agent_id": agent_id, "incarnation": 1, "seq": seq, "time": at}
    if seq:
        load = round(chance.random(), 4)
        return {"type": "status_update", **event, "status": "active", "current_load": load}
    capabilities = ["plan", f"skill-{chance.randrange(100)}"]
    return {"type": "agent_registered", **event, "capabilities": capabilities, "slots": 4}


MEMORY = Workload(
    "memory",
    "registrations, and heartbeats with a load in one long window, which a change of policy closes",
    _registered,
    policy={"windows": {"size": 86_400}},
    last_policy={"windows": {"size": 10}},
)


def events(workload: Workload, count: int, agents: int, start: float) -> Iterator[tuple[str, bytes]]:
    """Agent id and value of each event, in the order of event time: all agents in turn, once in :data:`BEAT`."""
    chance = random.Random(SEED)
    names = [f"agent-{number:06d}" for number in range(agents)]
    for number in range(count):
        seq, position = divmod(number, agents)
        at = round(start + (number / agents) * BEAT, 3)
        yield names[position], orjson.dumps(workload.value(chance, names[position], seq, at))


def put(
    producer: Producer,
    topic: str,
    key: str | bytes | None,
    value: bytes | None,
    partition: int,
    time: int = 0,
) -> None:
    """Hand a record to the producer, however full its queue is.

    Args:
        time: Its timestamp, where the topic takes those of producers; 0 for now.
    """
    while True:
        try:
            producer.produce(topic, value, key, partition, timestamp=time)
            return
        except BufferError:
            producer.poll(0.1)


def load(
    bootstrap: str,
    topic: str,
    workload: Workload,
    *,
    count: int,
    agents: int,
    partitions: int,
    progress: Callable[[int], None],
) -> int:
    """Append the events, each to its agent's partition; returns their size in bytes.

    The records of policies, one in each partition, are among the ``count``.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            # In the order of the calls, whatever has to be sent again: a policy holds for what stands behind it.
            "enable.idempotence": True,
            "log_level": 3,  # a new broker is not ready for that at once, which is no news
            "linger.ms": 20,
            "batch.num.messages": 5_000,
            "queue.buffering.max.messages": 200_000,
        }
    )
    size = 0

    def append(key: str, value: bytes, partition: int) -> None:
        nonlocal size
        size += len(value)
        put(producer, topic, key, value, partition)

    def announce(policy: dict[str, object] | None, version: int) -> None:
        for partition in range(partitions if policy else 0):
            append("policy", policy_record(policy or {}, version), partition)

    announce(workload.policy, 1)
    count -= partitions * ((workload.policy is not None) + (workload.last_policy is not None))
    homes: dict[str, int] = {}
    for number, (agent_id, value) in enumerate(events(workload, count, agents, time.time())):
        home = homes.get(agent_id)
        if home is None:
            home = homes[agent_id] = partition_of(agent_id.encode(), partitions)
        append(agent_id, value, home)
        if number % 1_000 == 0:
            producer.poll(0)
            progress(number)
    announce(workload.last_policy, 2)
    producer.flush()
    return size
