"""A partition of the events topic in miniature: append records, tick, and read what the ingress fold did."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import orjson

from models.fleet_records import FleetRecord, decode_fleet_record
from models.fold import Headers, LogRecord, Output
from models.ingress import IngressFold
from models.ingress.cells import Aggregate, Window
from models.ingress.rows import AgentRow, AgentTable
from models.partition import partition_of

START = 1_763_800_000_000
"""Log time of the first record: a multiple of ten seconds, so that windows start there."""
TICK = {"type": "clock_ticked"}


class World:
    def __init__(self, partition: int = 0, *, events: int = 1, fleet: int = 1, **options: object) -> None:
        self.partitions = {"events": events, "fleet": fleet}
        self.fold = IngressFold(partition, self.partitions, **options)  # type: ignore[arg-type]
        self.now = START
        self.log: list[LogRecord] = []

    def append(
        self, value: object, *, after: int = 0, key: bytes | None = None, headers: Headers = ()
    ) -> list[Output]:
        """Append a record ``after`` more milliseconds, and fold it."""
        outputs = self.fold.fold([self.record(value, after=after, key=key, headers=headers)])
        self.fold.validate()
        return outputs

    def record(
        self, value: object, *, after: int = 0, key: bytes | None = None, headers: Headers = ()
    ) -> LogRecord:
        """Append a record ``after`` more milliseconds."""
        self.now += after
        raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
        record = LogRecord(len(self.log), self.now, key, raw, headers)
        self.log.append(record)
        return record

    def beat(self, agent_id: str = "a1", *, after: int = 0, **fields: object) -> list[Output]:
        value = {"type": "status_update", "agent_id": agent_id, "status": "active", **fields}
        return self.append(value, after=after)

    def metrics(self, agent_id: str = "a1", *, after: int = 0, **fields: object) -> list[Output]:
        fields.setdefault("metrics", {"cpu": 0.5})
        return self.append({"type": "metric_report", "agent_id": agent_id, **fields}, after=after)

    def ticks(self, count: int) -> list[Output]:
        """So many seconds, each with its tick at the end."""
        return list(itertools.chain.from_iterable(self.append(TICK, after=1_000) for _ in range(count)))

    def agent(self, agent_id: str = "a1", fleet: str = "default") -> AgentRow:
        row = self.fold.tables["agents"].rows[f"{fleet}/{agent_id}"]
        assert isinstance(row, AgentRow)
        return row

    def aggregates(self, window: Window) -> dict[str, Aggregate]:
        agents = self.fold.tables["agents"]
        assert isinstance(agents, AgentTable)
        return agents.cells.aggregates(window)

    @property
    def agents(self) -> list[str]:
        return sorted(self.fold.tables["agents"].rows)

    @property
    def outcomes(self) -> dict[str, int]:
        """What became of the records so far; zeroes left out."""
        return {outcome: n for outcome, n in self.fold.status().outcomes.items() if n}


def fleet_records(outputs: Iterable[Output]) -> list[FleetRecord]:
    return [decode_fleet_record(output.value) for output in outputs if output.topic == "fleet"]


def kinds(outputs: Iterable[Output]) -> list[str]:
    """Types of the fleet records among the outputs, ticks left out."""
    values = [json.loads(output.value or b"") for output in outputs if output.topic == "fleet"]
    return [value["type"] for value in values if value["type"] != "clock_ticked"]


def of_topic(outputs: Iterable[Output], topic: str) -> list[Output]:
    return [output for output in outputs if output.topic == topic]


def alerts(outputs: Iterable[Output]) -> list[dict[str, object]]:
    return [json.loads(output.value or b"") for output in of_topic(outputs, "alerts")]


def header(output: Output, name: str) -> bytes | None:
    return dict(output.headers).get(name)


def id_in(partition: int, partitions: int, prefix: str = "agent") -> str:
    """Some id that belongs into a partition."""
    names = (f"{prefix}-{number}" for number in itertools.count())
    return next(name for name in names if partition_of(name.encode(), partitions) == partition)


def snapshot(fold: IngressFold) -> dict[str, dict[str, bytes]]:
    """Every row as it would be stored."""
    return {
        name: {key: table.encode(row) for key, row in sorted(table.rows.items())}
        for name, table in fold.tables.items()
    }


def restored(fold: IngressFold, like: World) -> IngressFold:
    """A new fold with the rows of another, as after a restart: read back in some other order."""
    copy = IngressFold(fold.partition, like.partitions)
    for name, rows in snapshot(fold).items():
        table = copy.tables[name]
        table.rows.clear()
        for key, row in sorted(rows.items(), reverse=True):
            table.rows[key] = table.decode(row)
    copy.restored()
    copy.validate()
    return copy
