"""Runs rows in turns on one broker, and turns their marks into figures."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, Any, TypeVar

from bench.meter import MARK, Task

T = TypeVar("T")

ROOT = Path(__file__).parents[1]

LAST_THIRD = 2 / 3
"""Share of the events after which a rate is told apart: a JVM compiles for its first million or two."""


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
    last_third: float | None
    """The same of the last third alone; ``None`` where so few events came in one piece."""
    wall: float
    peak_memory: int
    """Bytes."""
    extra: dict[str, Any]
    events: int
    first: dict[str, Any]
    last: dict[str, Any]
    """The marks at both ends."""


def _start(row: Row, task: Task, log: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
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


def run(row: Row, task: Task, patience: float, probe: Callable[[], dict[str, float]] = dict) -> Measured:
    """Run one row to its end.

    Args:
        row: The contender.
        task: What it has to do.
        patience: Seconds for which it may make no mark.
        probe: What else is to be known at each mark.

    Raises:
        RowFailed: if it ends with an error, or makes no mark for ``patience`` seconds.
    """
    marks: list[dict[str, Any]] = []
    expected = task.events
    with tempfile.NamedTemporaryFile("w+", prefix=f"bench-{row.name}-") as log:
        process = _start(row, task, log)
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
                marks.append(json.loads(line.removeprefix(MARK)) | probe())
                heard = time.monotonic()
                expected = marks[-1].get("events", expected)
                if marks[-1]["done"] >= expected:
                    heard += 30  # to say good-bye
        status = process.wait()
        log.seek(0)
        said = log.read()[-3000:]
    if not marks or marks[-1]["done"] < expected:
        reason = f"made no progress for {patience:.0f} s" if overdue.is_set() else f"ended with {status}"
        raise RowFailed(row.name, f"{reason} after {marks[-1]['done'] if marks else 0} events", said)
    return _measured(marks, expected)


class Serving:
    """A row that works until it is told to stop."""

    PATIENCE = 120.0

    def __init__(self, row: Row, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._row = row
        self._process = process
        self._log = log
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                self._said.put(json.loads(line.removeprefix(MARK)))

    @property
    def log(self) -> str:
        """The end of what it said."""
        self._log.seek(0)
        return self._log.read()[-3000:]

    def check(self) -> None:
        """Raise ``RowFailed`` if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise RowFailed(self._row.name, f"ended with {status}", self.log)

    def expect(self, name: str) -> Any:
        """Wait until it tells something of this name.

        Raises:
            RowFailed: if it ends first, or takes too long.
        """
        overdue = time.monotonic() + self.PATIENCE
        while time.monotonic() < overdue:
            with contextlib.suppress(queue.Empty):
                said = self._said.get(timeout=0.2)
                if name in said:
                    return said[name]
                continue
            self.check()
        raise RowFailed(self._row.name, f"did not say {name!r} for {self.PATIENCE:.0f} s", self.log)


@contextmanager
def serving(row: Row, task: Task) -> Iterator[Serving]:
    """Start a row that works until it is told to stop, by SIGTERM, at the end of the block."""
    with tempfile.NamedTemporaryFile("w+", prefix=f"bench-{row.name}-".replace(" ", "-")) as log:
        process = _start(row, task, log)
        try:
            yield Serving(row, process, log)
        finally:
            stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process by SIGTERM, or by force if it takes its time."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _measured(marks: Sequence[dict[str, Any]], events: int) -> Measured:
    first, last = marks[0], marks[-1]
    warm = next(mark for mark in marks if mark["done"] >= events * LAST_THIRD)
    known = {"done", "cpu", "wall", "rss", "broker", "events"}
    return Measured(
        per_cpu_second=_rate(first, last, "cpu"),
        last_third=_rate(warm, last, "cpu") if warm["done"] < last["done"] else None,
        wall=_rate(first, last, "wall"),
        peak_memory=last["rss"],
        extra={name: value for name, value in last.items() if name not in known},
        events=events,
        first=first,
        last=last,
    )


def _rate(start: dict[str, Any], end: dict[str, Any], clock: str) -> float:
    spent = end[clock] - start[clock]
    return float((end["done"] - start["done"]) / spent) if spent else 0.0


def in_turns(
    rows: Sequence[Row], repetitions: int, run_one: Callable[[Row], T], progress: Callable[[str], None]
) -> tuple[dict[str, list[T]], dict[str, str]]:
    """Every row once, then every row again: what slows the machine for a while slows all of them.

    Returns:
        The runs of each row, and why rows are missing.
    """
    runs: dict[str, list[T]] = {row.name: [] for row in rows}
    missing: dict[str, str] = {}
    for repetition in range(repetitions):
        for row in rows:
            if row.name in missing:
                continue
            progress(f"{row.name}  {repetition + 1} of {repetitions}")
            try:
                runs[row.name].append(run_one(row))
            except (RowFailed, OSError, subprocess.SubprocessError) as error:
                missing[row.name] = str(error)
                if isinstance(error, RowFailed):
                    print(error.log, file=sys.stderr)
    return {name: measured for name, measured in runs.items() if name not in missing}, missing


def run_in_turns(
    rows: Sequence[Row],
    *,
    repetitions: int,
    make_task: Callable[[Row, str, str], Task],
    progress: Callable[[str], None],
    patience: float = 120.0,
    probe: Callable[[], dict[str, float]] = dict,
) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """Run each row to its end, in turns, each time in a directory and under a name of its own."""

    def run_one(row: Row) -> Measured:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            unique = f"bench-{row.name}-{uuid.uuid4().hex[:8]}"
            return run(row, make_task(row, unique, directory), patience, probe)

    return in_turns(rows, repetitions, run_one, progress)


def summary(runs: dict[str, list[Measured]], limit: str = "limit") -> dict[str, dict[str, Any]]:
    """Figures of each row, in thousands of events; ratios are of medians, within this run."""
    figures: dict[str, dict[str, Any]] = {}
    for name, measured in runs.items():
        cpu = [one.per_cpu_second / 1000 for one in measured]
        last_third = [one.last_third / 1000 for one in measured if one.last_third is not None]
        figures[name] = {
            "kev_per_cpu_s": {
                "min": round(min(cpu), 1),
                "median": round(median(cpu), 1),
                "max": round(max(cpu), 1),
            },
            "last_third_kev_per_cpu_s": None if not last_third else round(median(last_third), 1),
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
