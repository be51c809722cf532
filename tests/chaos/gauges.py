"""What can be seen of the workers from outside, written down once a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.crash.worker_process import WorkerProcess

_PAGE = os.sysconf("SC_PAGE_SIZE")
Place = tuple[str, int]
"""Full name of the topic, and partition."""


def records_by_outcome(worker: WorkerProcess, topic: str) -> dict[str, int]:
    """Records of a topic that the worker has folded, ticks excepted; none if it does not answer."""
    outcomes: dict[str, int] = {}
    for family in _families(worker):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "coordinator_records_total" and labels["topic"] == topic:
                outcomes[labels["outcome"]] = outcomes.get(labels["outcome"], 0) + int(sample.value)
    outcomes.pop("tick", None)
    return outcomes


def positions(worker: WorkerProcess) -> dict[Place, int]:
    """Next offset of each partition that the worker has open; none if it does not answer."""
    return _read(worker, "coordinator_position")


def _read(worker: WorkerProcess, gauge: str) -> dict[Place, int]:
    return {
        (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
        for family in _families(worker)
        if family.name == gauge
        for sample in family.samples
    }


def _families(worker: WorkerProcess) -> list[Metric]:
    try:
        text = worker.get("/metrics", timeout=2).decode()
    except (OSError, ValueError):
        return []
    return list(text_string_to_metric_families(text))


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look."""

    seconds: float
    workers: int
    """That run."""
    lag: int
    """Records not yet folded, in all open partitions."""
    open: int
    """Partitions."""
    memory: int
    """Bytes of the largest worker."""
    files: int
    """Of the worker with most."""
    threads: int
    """Of the worker with most."""
    store: int
    """Bytes of the largest data directory."""


class Recorder:
    """Looks at all workers and appends what it sees to a file, as JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[Gauges] = []
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def fault(self, what: str) -> None:
        self._append({"seconds": round(self.seconds, 3), "fault": what})

    def look(self, workers: Iterable[WorkerProcess]) -> Gauges:
        running = [worker for worker in workers if worker.running]
        lags: dict[Place, int] = {}
        for worker in running:
            lags.update(_read(worker, "coordinator_lag_records"))
        processes = [process for worker in running if (process := _process(worker.pid))]
        gauges = Gauges(
            seconds=round(self.seconds, 3),
            workers=len(running),
            lag=sum(lags.values()),
            open=len(lags),
            memory=max((process["memory"] for process in processes), default=0),
            files=max((process["files"] for process in processes), default=0),
            threads=max((process["threads"] for process in processes), default=0),
            store=max((_size(worker.data_dir) for worker in running), default=0),
        )
        self.seen.append(gauges)
        self._append({name: getattr(gauges, name) for name in Gauges.__slots__})
        return gauges

    def _append(self, line: Mapping[str, object]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _process(pid: int) -> dict[str, int]:
    try:
        return {
            "memory": int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE,
            "files": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task")),
        }
    except OSError:  # it has just been killed
        return {}


def _size(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except OSError:  # RocksDB has just deleted it
                continue
    return total
