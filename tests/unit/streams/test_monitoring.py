"""How the metrics read the state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson

from models.fold import LogRecord
from models.ingress import IngressFold
from streams.monitoring import MonitoringSystem


def monitoring(fold: IngressFold, interval: float) -> MonitoringSystem:
    """Over one partition that nobody runs; the engine is not asked for what is tested here."""
    task = SimpleNamespace(fold=fold, lag=0)
    ingress: Any = SimpleNamespace(tasks={0: task}, after_batch=[])
    fleet: Any = SimpleNamespace(tasks={}, after_batch=[])
    engine: Any = None
    return MonitoringSystem(engine, ingress, fleet, engine, interval)


def beat(offset: int) -> LogRecord:
    value = {"type": "status_update", "agent_id": f"a{offset}", "status": "active"}
    return LogRecord(offset, 1_000 + offset, None, orjson.dumps(value))


async def test_the_agents_are_not_counted_again_within_the_interval() -> None:
    fold = IngressFold(0, {"events": 1, "fleet": 1})
    patient, eager = monitoring(fold, interval=3_600), monitoring(fold, interval=0)
    fold.fold([beat(0)])
    assert (await patient.collect_metrics())["active_agents"] == 1
    assert (await eager.collect_metrics())["active_agents"] == 1
    fold.fold([beat(1)])
    assert (await patient.collect_metrics())["active_agents"] == 1
    assert (await eager.collect_metrics())["active_agents"] == 2


async def test_records_are_counted_anew_each_time() -> None:
    fold = IngressFold(0, {"events": 1, "fleet": 1})
    patient = monitoring(fold, interval=3_600)
    fold.fold([beat(0)])
    assert (await patient.collect_metrics())["records"] == 1
    fold.fold([beat(1)])
    assert (await patient.collect_metrics())["records"] == 2
