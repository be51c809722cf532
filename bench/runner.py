"""Runs rows in turns on one broker, and turns their marks into figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.meter import MARK, Task

ROOT = Path(__file__).parents[1]

WARM_FROM = 2 / 3
"""Share of the events after which a row counts as warm: a JVM compiles for its first million or two."""


class RowFailed(Exception):
    """A row ended without having done its work.

    Attributes:
        log: The end of what it said.
    """

    def __init__(self, row: str, reason: str, log: str) -> None:
        super().__init__(f"{row} {reason}")
        self.log = log


@dataclass(frozen=True, slots=True)
class Row:
    """One contender."""

    name: str
    what: str
    command: Callable[[], Sequence[str]]
    """Makes what it needs, if need be, and gives the command that runs it."""
    options: dict[str, Any] = field(default_factory=dict)
    at_most: int | None = None
    """Events after which a slow one has shown how slow it is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one row. Rates are in events per second."""

    per_cpu_second: float
    """From the first event to the end."""
    warm_per_cpu_second: float
    """The last third alone."""
    wall: float
    peak_memory: int
    """Bytes."""
    extra: dict[str, Any]


def run(row: Row, task: Task, patience: float) -> Measured:
    """Run one row to its end.

    Raises:
        RowFailed: if it ends with an error, or makes no mark for ``patience`` seconds.
    """
    marks: list[dict[str, Any]] = []
    with tempfile.NamedTemporaryFile("w+", prefix=f"bench-{row.name}-") as log:
        process = subprocess.Popen(
            list(row.command()),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "BENCH": json.dumps(asdict(task)),
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
            },
        )
        heard = time.monotonic()
        overdue = threading.Event()

        def watch() -> None:
            while process.poll() is None:
                if time.monotonic() - heard > patience:
                    overdue.set()
                    process.kill()
                time.sleep(0.5)

        threading.Thread(target=watch, daemon=True).start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                marks.append(json.loads(line.removeprefix(MARK)))
                heard = time.monotonic()
                if marks[-1]["done"] >= task.events:
                    heard += 30  # to say good-bye
        status = process.wait()
        log.seek(0)
        said = log.read()[-3000:]
    if not marks or marks[-1]["done"] < task.events:
        reason = f"made no progress for {patience:.0f} s" if overdue.is_set() else f"ended with {status}"
        raise RowFailed(row.name, f"{reason} after {marks[-1]['done'] if marks else 0} events", said)
    return _measured(marks, task.events)


def _measured(marks: Sequence[dict[str, Any]], events: int) -> Measured:
    first, last = marks[0], marks[-1]
    warm = next(mark for mark in marks if mark["done"] >= events * WARM_FROM)
    known = {"done", "cpu", "wall", "rss"}
    return Measured(
        per_cpu_second=_rate(first, last, "cpu"),
        warm_per_cpu_second=_rate(warm, last, "cpu"),
        wall=_rate(first, last, "wall"),
        peak_memory=last["rss"],
        extra={name: value for name, value in last.items() if name not in known},
    )


def _rate(start: dict[str, Any], end: dict[str, Any], clock: str) -> float:
    spent = end[clock] - start[clock]
    return float((end["done"] - start["done"]) / spent) if spent else 0.0


def run_in_turns(
    rows: Sequence[Row],
    *,
    repetitions: int,
    make_task: Callable[[Row, str, str], Task],
    progress: Callable[[str], None],
    patience: float = 120.0,
) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """Every row once, then every row again: what slows the machine for a while slows all of them.

    Returns:
        The runs of each row, and why rows are missing.
    """
    runs: dict[str, list[Measured]] = {row.name: [] for row in rows}
    missing: dict[str, str] = {}
    for repetition in range(repetitions):
        for row in rows:
            if row.name in missing:
                continue
            progress(f"{row.name}  {repetition + 1} of {repetitions}")
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                unique = f"bench-{row.name}-{uuid.uuid4().hex[:8]}"
                try:
                    runs[row.name].append(run(row, make_task(row, unique, directory), patience))
                except (RowFailed, OSError, subprocess.SubprocessError) as error:
                    missing[row.name] = str(error)
                    if isinstance(error, RowFailed):
                        print(error.log, file=sys.stderr)
    return {name: measured for name, measured in runs.items() if name not in missing}, missing


def summary(runs: dict[str, list[Measured]], limit: str = "limit") -> dict[str, dict[str, Any]]:
    """Figures of each row, in thousands of events; ratios are of medians, within this run."""
    figures: dict[str, dict[str, Any]] = {}
    for name, measured in runs.items():
        cpu = [one.per_cpu_second / 1000 for one in measured]
        warm = [one.warm_per_cpu_second / 1000 for one in measured]
        figures[name] = {
            "kev_per_cpu_s": {
                "min": round(min(cpu), 1),
                "median": round(median(cpu), 1),
                "max": round(max(cpu), 1),
            },
            "warm_kev_per_cpu_s": {"min": round(min(warm), 1), "median": round(median(warm), 1)},
            "wall_kev_s": round(median(one.wall for one in measured) / 1000, 1),
            "rss_mb": round(max(one.peak_memory for one in measured) / 1e6),
            **measured[-1].extra,
        }
    of_limit = figures.get(limit)
    for row in figures.values():
        row["ratio_to_limit"] = (
            None
            if of_limit is None
            else round(row["kev_per_cpu_s"]["median"] / of_limit["kev_per_cpu_s"]["median"], 3)
        )
    return figures
