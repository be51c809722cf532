"""What a row is told, and how it says how far it is. Standard library only: peers run in their own environment."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

MARK = "BENCH "
"""Begins each line of standard output that is meant for the runner."""

MARKS = 12
"""So many marks a row sets on its way, besides the first and the last."""


@dataclass(frozen=True)
class Task:
    """What a row has to do."""

    bootstrap: str
    topic: str
    """Full name of the topic with the events; another one than ``prefix`` + ``events`` is never given."""
    prefix: str
    partitions: int
    events: int
    """In all partitions together. The row ends when it has seen to so many."""
    agents: int
    run: str
    """Unique: for groups, changelogs and whatever else must be new."""
    directory: str
    """Empty, for local state."""
    options: dict[str, Any]


class Meter:
    """Reads the task, counts events, and sets marks of the CPU time that they took.

    The first mark is set at the first event, so that starting costs nothing.
    """

    def __init__(self) -> None:
        self.task = Task(**json.loads(os.environ["BENCH"]))
        self.done = 0
        self._next = 0

    @property
    def finished(self) -> bool:
        return self.done >= self.task.events

    def count(self, events: int) -> None:
        """So many more events are done. Call it per batch: it costs a microsecond."""
        if not self.done:
            self._mark()
        self.done += events
        if self.done >= self._next and not self.finished:
            self._mark()

    def finish(self, **extra: object) -> None:
        """All is done, what had to be saved included."""
        self._mark(**extra)

    def _mark(self, **extra: object) -> None:
        self._next = self.done + self.task.events // MARKS
        say(done=self.done, cpu=time.process_time(), wall=time.monotonic(), rss=peak_memory(), **extra)


def say(**fields: object) -> None:
    """One line to the runner."""
    sys.stdout.write(MARK + json.dumps(fields) + "\n")
    sys.stdout.flush()


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def memory_now() -> int:
    """Bytes of memory that this process holds, what it has freed given back; on Linux only.

    Raises:
        OSError: elsewhere.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
