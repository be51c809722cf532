"""All workloads under one roof, as the command line sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import latency, memory, report, restore, scale, throughput
from bench.runner import Row
from bench.throughput import broker

__all__ = ["broker", "is_empty", "latency", "memory", "report", "restore", "rows_of", "scale", "throughput"]

_ROWS: Mapping[str, Mapping[str, Row]] = {
    "throughput": throughput.ROWS,
    "windows": throughput.WINDOWS,
    **restore.ROWS,
    "latency": latency.ROWS,
    "memory": memory.ROWS,
    "scale": {},
}


def rows_of(workload: str) -> Mapping[str, Row]:
    """The contenders for a workload, by name."""
    return _ROWS[workload]


def is_empty(result: dict[str, Any]) -> bool:
    """Whether nothing at all could be measured."""
    groups = [result, *result.get("rates", {}).values(), *result.get("sizes", {}).values()]
    return not any(group.get("rows") for group in groups) and not any(result.get("dimensions", {}).values())
