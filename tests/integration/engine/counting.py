"""A toy application on the engine, run as a real worker process: it counts, and passes on what it counted.

Two folds in a row: ``events`` → CountFold → ``fleet`` → CountFold → ``out``. Configured by the environment.
Values are ``{"k": key, "n": number}``; a few have a power: ``forget`` deletes the row, ``boom`` makes the fold
raise half way through a batch, ``padding`` makes the output that much longer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
import msgspec
import orjson

from models.fold import Output, Record, Table
from streams.engine import Engine, EngineSettings, PartitionTask, install, tune_garbage_collector
from streams.engine.watchdog import RUNNING
from streams.fetching import read_public


class Count(msgspec.Struct, array_like=True):
    records: int = 0
    total: int = 0
    last_offset: int = -1


class CountFold:
    """Counts per key; forgets a key at ``{"forget": true}``; puts out one record for each it reads."""

    def __init__(self, target: str) -> None:
        self.counts = Table("counts", Count, evictable=True)
        self.clock = Table("clock", Count)
        self.target = target

    @property
    def tables(self) -> Mapping[str, Table[Any]]:
        return {"counts": self.counts, "clock": self.clock}

    def restored(self) -> None:
        pass

    def validate(self) -> None:
        assert sum(row.records for _, row in self.counts.items()) >= 0

    def fold(self, records: Sequence[Record]) -> list[Output]:
        outputs = []
        clock = self.clock.get("") or Count()
        for record in records:
            event = orjson.loads(record.value or b"{}")
            key = event["k"]
            row = self.counts.get(key) or Count()
            row.records += 1
            row.total += event["n"]
            row.last_offset = record.offset
            if event.get("forget"):
                self.counts.delete(key)
            else:
                self.counts.put(key, row)
            clock.records += 1
            clock.last_offset = record.offset
            if event.get("boom") and "DEFUSE" not in os.environ:
                raise ValueError("boom")
            outputs.append(
                Output(
                    self.target,
                    key.encode(),
                    orjson.dumps({"k": key, "n": event["n"], "count": row.records, "at": record.offset})
                    + b" " * event.get("padding", 0),
                    (("origin", b"%d" % record.offset),),
                )
            )
        self.clock.put("", clock)
        return outputs


def build() -> faust.App:
    environment = os.environ
    engine = Engine(
        EngineSettings(
            bootstrap_servers=environment["KAFKA"],
            topic_prefix=environment["PREFIX"],
            data_dir=Path(environment["DATA_DIR"]),
            instance_id=environment.get("INSTANCE"),
            checkpoint_interval=float(environment.get("CHECKPOINT_INTERVAL", "0.3")),
            cache_size=int(environment["CACHE_SIZE"]) if "CACHE_SIZE" in environment else None,
            compaction_lag=float(environment.get("COMPACTION_LAG", "3600")),
            session_timeout=float(environment.get("SESSION_TIMEOUT", "6")),
            request_timeout=float(environment.get("REQUEST_TIMEOUT", "15")),
            delivery_timeout=float(environment.get("DELIVERY_TIMEOUT", "45")),
        )
    )
    if environment.get("READER") == "public":
        engine.reader = read_public
    app = faust.App(environment["PREFIX"] + "app", **engine.faust_settings())
    install(app, engine)
    events = engine.topic("events", partitions=4)
    fleet = engine.topic("fleet", partitions=2)
    first = engine.table(
        "first", source=events, make_fold=lambda _: CountFold(environment.get("FIRST_TARGET", "fleet"))
    )
    second = engine.table("second", source=fleet, make_fold=lambda _: CountFold("out"))

    told: dict[str, Any] = {"opened": []}

    def opened(task: PartitionTask) -> None:
        told["opened"] = sorted({*told["opened"], task.partition})

    first.on_open.append(opened)

    @app.agent(events)
    async def count_events(stream: Any) -> None:
        async for batch in stream:
            first.fold(batch)

    @app.agent(fleet)
    async def count_fleet(stream: Any) -> None:
        async for batch in stream:
            second.fold(batch)

    @app.timer(0.2)
    async def report() -> None:
        """What a test may want to know, for it to read: written whole, or not at all."""
        if "APPEND" in environment and "appended" not in told and first.caught_up(0):
            told["was_at"] = first.tasks[0].position
            told["appended"] = await engine.append("events", b"shell", b'{"k": "shell", "n": 1}', partition=0)
        status = {**engine.status(), **told}
        if "WITHOUT_ROWS" not in environment:
            status["rows"] = {
                name: {
                    f"{partition}/{table_name}/{key}": msgspec.to_builtins(row)
                    for partition, task in table.tasks.items()
                    for table_name, table_of in task.fold.tables.items()
                    for key, row in table_of.items()
                }
                for name, table in engine.tables.items()
            }
        path = Path(environment["STATUS"])
        path.with_suffix(".new").write_text(json.dumps(status))
        path.with_suffix(".new").replace(path)

    @app.task
    async def append_again_and_again() -> None:
        """One append at a time, as a ticker does, from the start to the end."""
        told["appends"] = 0
        while "APPEND_EVERY" in environment:
            await asyncio.sleep(float(environment["APPEND_EVERY"]))
            if engine.watchdog.phase == RUNNING:
                await engine.append("events", b"shell", b'{"k": "shell", "n": 1}', partition=0)
                told["appends"] += 1

    tune_garbage_collector()
    return app


if "PREFIX" in os.environ:
    logging.basicConfig(stream=sys.stderr)
    app = build()
