"""All workloads under one roof, as the command line sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import restore, throughput
from bench.runner import Row
from bench.throughput import Setup, broker

__all__ = ["Setup", "broker", "measure", "rows_of"]


def rows_of(workload: str) -> dict[str, Row]:
    """The contenders for a workload, by name."""
    return restore.ROWS[workload] if workload in restore.ROWS else throughput.rows_of(workload)


def measure(
    setup: Setup, rows: Sequence[Row], bootstrap: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Measure; the result as ``--json`` prints it."""
    measured = restore.measure if setup.workload in restore.ROWS else throughput.measure
    return measured(setup, rows, bootstrap, progress)
