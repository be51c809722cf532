"""How fast a fleet is had as it was: the state at random cuts of a long fleet log, from snapshots on the way.

``python bench/past.py --help`` tells how. The log is a fleet's life, made by the fold and the planner themselves,
on a Kafka; each cut is then read as ``coordinator state --at`` reads it. The state at some cuts is compared with
that of one fold from zero.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson
import typer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Producer

from bench.program import AsJson, OnKafka, fail
from bench.throughput import broker
from bench.workload import put
from models.cut import Cut
from models.fleet import FleetFold
from models.fold import LogRecord
from streams.audit.history import KafkaHistory
from streams.audit.past import Log, Past, fleet_at
from streams.audit.snapshots import EVERY, Snapshots
from streams.cli.console import print_json
from streams.planner import WaterFillPlanner, encode_plan, snapshot

START = 1_763_800_000_000
AT_ONCE = 40
"""Tasks that are submitted, planned and done together,"""
STEP = 50
"""in so many milliseconds."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def past(
    records: Annotated[int, typer.Option(min=1_000, help="Of the fleet log.")] = 1_000_000,
    agents: Annotated[int, typer.Option(min=1, help="In the fleet.")] = 1_000,
    cuts: Annotated[int, typer.Option(min=1, help="How many, drawn at random.")] = 1_000,
    every: Annotated[int, typer.Option(min=100, help="Records from one snapshot to the next.")] = EVERY,
    compared: Annotated[
        int, typer.Option(min=0, help="Cuts whose state is compared with a fold from zero.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="For the cuts.")] = 1,
    bootstrap: OnKafka = None,
    as_json: AsJson = False,
) -> None:
    """Measure how long it takes to have a fleet as it was.

    [b]Examples[/b]

      python bench/past.py

      python bench/past.py --records 100000 --cuts 200 --json
    """
    with broker(bootstrap) as (address, _), tempfile.TemporaryDirectory(prefix="bench-past-") as directory:
        result = asyncio.run(
            _measured(address, Path(directory), records, agents, cuts, every, min(compared, cuts), seed)
        )
    if as_json:
        print_json(result)
    else:
        print(
            f"{result['records']:,} records of the fleet log: folded from zero {result['fold_per_cpu_s']:,} a "
            f"CPU-second, {result['snapshots']} snapshots of at most {result['rows']:,} rows, {result['mb']} MB\n"
            f"{cuts:,} cuts at random: p50 {result['p50_ms']} ms, p95 {result['p95_ms']} ms, at most "
            f"{result['max_ms']} ms; {result['compared']} compared with a fold from zero"
        )
    if result["different"]:
        fail(f"at {result['different']} cuts the state was another one than that of a fold from zero")


async def _measured(
    address: str, directory: Path, records: int, agents: int, cuts: int, every: int, compared: int, seed: int
) -> dict[str, Any]:
    prefix = f"past-{uuid.uuid4().hex[:8]}."
    await _create(address, prefix)
    print(f"making {records:,} records …", file=sys.stderr)
    _load(address, prefix, records, agents)
    shelf = Snapshots(directory, every, lambda words: print(words, file=sys.stderr))
    async with KafkaHistory(address, prefix) as history:
        log = await Log.of(history, "default")
        before = time.process_time()
        await fleet_at(log, snapshots=shelf)
        spent = time.process_time() - before
        chance = random.Random(seed)
        wanted = [chance.randrange(log.extent.end + 1) for _ in range(cuts)]
        looked_at = set(chance.sample(range(cuts), compared))
        times, digests = [], {}
        for number, offset in enumerate(wanted):
            started = time.monotonic()
            found = await _at(log, offset, shelf)
            times.append((time.monotonic() - started) * 1000)
            if number in looked_at:
                digests[offset] = found.fold.state.digest()
            del found
        different = await _different(log, digests)
    files = shelf.shelf(log.cluster, log.place).all()
    return {
        "records": log.extent.end,
        "agents": agents,
        "every": every,
        "fold_per_cpu_s": round(log.extent.end / spent),
        "snapshots": len(files),
        "rows": max((file.read()[0].rows for file in files), default=0),
        "mb": round(sum(file.path.stat().st_size for file in files) / 1e6, 1),
        "cuts": cuts,
        "p50_ms": round(statistics.median(times)),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1]) if cuts > 1 else round(times[0]),
        "max_ms": round(max(times)),
        "compared": len(digests),
        "different": different,
    }


async def _at(log: Log, offset: int, shelf: Snapshots) -> Past:
    """As a command reads it, beginning with what the topics hold."""
    again = await Log.of(log.history, log.fleet)
    return await fleet_at(again, Cut.of(log.cluster, {log.place: offset}), snapshots=shelf)


async def _different(log: Log, digests: dict[int, bytes]) -> int:
    """How many of these cuts have another state when the log is folded once, from zero."""
    fold, different = log.new_fold(), 0
    async for batch in log.history.batches("fleet", log.place.partition, log.extent):
        for record in batch:
            if record.offset in digests:
                different += fold.state.digest() != digests[record.offset]
            fold.fold([record])
    if log.extent.end in digests:
        different += fold.state.digest() != digests[log.extent.end]
    return different


async def _create(address: str, prefix: str) -> None:
    """Topics whose records keep the times that they were made with; the plans among them depend on these."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    config = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    topics = [NewTopic(prefix + topic, 1, 1, topic_configs=config) for topic in ("events", "fleet")]
    await admin.create_topics(topics)
    await admin.close()


def _load(address: str, prefix: str, count: int, agents: int) -> None:
    producer = Producer(
        {"bootstrap.servers": address, "linger.ms": 20, "queue.buffering.max.messages": 2_000_000}
    )
    for record in _life(count, agents):
        put(producer, f"{prefix}fleet", record.key, record.value, 0, record.timestamp)
        producer.poll(0)
    producer.flush()


def _life(count: int, agents: int) -> Iterator[LogRecord]:
    """So many records of a fleet log: agents register, tasks come, are planned, accepted and completed."""
    fold = FleetFold(0, 1)
    planner = WaterFillPlanner()
    now, offset, source, tasks = START, 0, 0, 0

    def appended(value: bytes) -> tuple[LogRecord, list[dict[str, Any]]]:
        nonlocal offset
        record = LogRecord(offset, now, b"default", value)
        offset += 1
        brought = fold.fold([record])
        return record, [orjson.loads(out.value or b"") for out in brought if out.topic == "directives"]

    def fact(kind: str, **event: object) -> bytes:
        nonlocal source
        source += 1
        place = {"partition": 0, "offset": source, "index": 0}
        event = {"type": kind, **event}
        return orjson.dumps({"type": kind, "source": place, "through": now / 1000, "event": event})

    for number in range(agents):
        said = fact("agent_registered", agent_id=f"a{number:05}", slots=4, capabilities=["sum"])
        yield appended(said)[0]
    while offset < count:
        now += STEP
        for _ in range(AT_ONCE):
            said = fact("task_submitted", task_id=f"t{tasks}", requires={"capabilities": ["sum"]})
            yield appended(said)[0]
            tasks += 1
        seen = snapshot(fold, "default")
        assert seen is not None
        plan = planner.plan(seen, seen.policy, 5_000_000)
        assert plan is not None
        record, directives = appended(encode_plan(plan))
        yield record
        for outcome in ("accepted", "completed"):
            for directive in directives:
                names = {name: directive[name] for name in ("agent_id", "directive_id")}
                yield appended(fact("directive_response", outcome=outcome, **names))[0]


if __name__ == "__main__":
    app(prog_name="past.py")
