"""What happened, in numbers: waits, throughput and outcomes, gathered from the topics' records. Pure.

All times are log time: from the append of ``task_submitted`` to the fleet record that issued its first directive
(the wait), and to the one that ended it (the whole). So the numbers hold whoever measures them, and when.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from models.codec import object_in
from streams.reader import Stored

REMEMBERED = 100_000
"""Tasks whose times are remembered: enough for honest percentiles, without growing for ever."""

RECENT = 50

RATE_WINDOW = 10_000
"""Milliseconds over which the throughput is taken."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a number of durations, in seconds."""

    count: int
    p50: float
    p99: float
    longest: float

    def on_wire(self) -> dict[str, object]:
        return {"count": self.count, "p50": self.p50, "p99": self.p99, "max": self.longest}


def percentiles(milliseconds: Iterable[int]) -> Percentiles | None:
    """Nearest-rank percentiles; ``None`` of nothing."""
    ordered = sorted(milliseconds)
    if not ordered:
        return None

    def rank(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1] / 1000

    return Percentiles(len(ordered), rank(0.5), rank(0.99), ordered[-1] / 1000)


@dataclass(slots=True)
class Figures:
    """Counts what the records of ``events``, ``directives``, ``results``, ``alerts`` and ``dead-letters`` tell.

    Records may come twice or out of order between topics; each task counts once.
    """

    fleet: str
    prefix: str = ""
    """Only tasks whose id begins so are counted, such as those of one run."""
    submitted: dict[str, int] = field(default_factory=dict)
    """Task id to append time, of tasks that have not ended; oldest first."""
    issued: dict[str, int] = field(default_factory=dict)
    """Task id to the time of its first directive, of tasks that have not ended."""
    waits: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Milliseconds from submission to the first directive."""
    wholes: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Milliseconds from submission to the end."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Ended tasks by outcome: completed, failed, cancelled, refused."""
    retried: int = 0
    """Ended tasks that took more than one attempt."""
    ended: dict[str, int] = field(default_factory=dict)
    """Task id to its end, to count each once; the oldest are forgotten."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """The first tasks that did not complete, with the reason."""
    directives: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=RECENT))
    alerts: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=RECENT))
    finished: Counter[str] = field(default_factory=Counter)
    """Completed tasks by agent."""
    submitted_total: int = 0
    issued_total: int = 0
    alert_total: int = 0
    dead_letters: int = 0
    _ends: deque[int] = field(default_factory=deque)
    first_submit: int | None = None
    last_end: int | None = None

    @property
    def ended_total(self) -> int:
        return sum(self.outcomes.values())

    def observe(self, records: Sequence[Stored]) -> None:
        """Take in records of any of the topics."""
        for record in records:
            if record.topic == "dead-letters":
                self.dead_letters += 1
                continue
            value = object_in(record.value)
            if value is None or value.get("fleet", "default") != self.fleet:
                continue
            match record.topic:
                case "events" if value.get("type") == "task_submitted":
                    self._submitted(str(value.get("task_id")), record.timestamp)
                case "directives":
                    self._directive(value)
                case "results":
                    self._result(value)
                case "alerts":
                    self.alert_total += 1
                    self.alerts.append(value)

    def rate(self, now_ms: int) -> float:
        """Tasks that ended per second, lately."""
        while self._ends and self._ends[0] < now_ms - RATE_WINDOW:
            self._ends.popleft()
        since = RATE_WINDOW if self.first_submit is None else now_ms - self.first_submit
        return len(self._ends) / max(1.0, min(RATE_WINDOW, since) / 1000)

    def throughput(self) -> float | None:
        """Ended tasks per second from the first submission to the last end."""
        if self.first_submit is None or self.last_end is None:
            return None
        return self.ended_total / max(0.001, (self.last_end - self.first_submit) / 1000)

    def _submitted(self, task: str, at: int) -> None:
        if not task.startswith(self.prefix) or task in self.submitted or task in self.ended:
            return
        self.first_submit = at if self.first_submit is None else min(at, self.first_submit)
        self.submitted[task] = at
        self.submitted_total += 1
        if len(self.submitted) > REMEMBERED:
            del self.submitted[next(iter(self.submitted))]
        if task in self.issued:
            self.waits.append(max(0, self.issued[task] - at))

    def _directive(self, value: dict[str, object]) -> None:
        self.issued_total += 1
        self.directives.append(value)
        task, at = value.get("task_id"), _ms(value.get("issued_at"))
        if value.get("type") not in ("assign_task", "join_coalition") or at is None:
            return
        if not isinstance(task, str) or not task.startswith(self.prefix) or task in self.issued:
            return
        self.issued[task] = at
        if len(self.issued) > REMEMBERED:
            del self.issued[next(iter(self.issued))]
        if task in self.submitted:
            self.waits.append(max(0, at - self.submitted[task]))

    def _result(self, value: dict[str, object]) -> None:
        task, at = str(value.get("task_id")), _ms(value.get("time"))
        if not task.startswith(self.prefix) or task in self.ended or at is None:
            return
        outcome = str(value.get("type", "")).removeprefix("task_")
        self.ended[task] = at
        if len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]
        self._ends.append(at)
        self.last_end = at if self.last_end is None else max(at, self.last_end)
        self.outcomes[outcome] += 1
        attempt = value.get("attempt")
        if isinstance(attempt, int) and attempt > 1:
            self.retried += 1
        if outcome == "completed":
            self.finished[str(value.get("agent_id"))] += 1
        elif len(self.failures) < RECENT:
            self.failures.append((task, str(value.get("reason") or outcome)))
        submitted = self.submitted.pop(task, None)
        self.issued.pop(task, None)
        if submitted is not None:
            self.wholes.append(max(0, at - submitted))


def _ms(seconds: object) -> int | None:
    return round(seconds * 1000) if isinstance(seconds, int | float) else None
