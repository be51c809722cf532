"""Tumbling event-time windows over what agents report, and when they close.

A window ``[start, end)`` closes when the fleet's watermark reaches its end: the highest event time seen in
this partition less the allowed lateness. When the stream is silent, ticks close it: log time less the allowed
lateness is a watermark too, since an event's time is never taken to be older. A closed window is emitted once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import isfinite
from typing import Literal, TypeAlias

from models.fold import Table
from models.ingress.fleets import NEVER, Fleets, FleetState
from models.ingress.outbox import Outbox
from models.ingress.rows import AgentRow, Aggregate

LOAD = "current_load"
"""Metric under which an agent's own view of its load is aggregated."""
USED = "/used"
"""Behind the name of a resource: the metric under which what an agent uses of it is aggregated. No id has a slash,
so no agent can have a metric of its own under that name."""
MAX_METRICS = 1_024
"""Metrics of one agent in one window; with more it is refused, or it could grow without bound."""
_AGENTS_PER_RECORD = 500
_AGGREGATES_PER_RECORD = 4_000
"""A record of so many aggregates stays below 1.5 MB, with names as long as they may be."""
Observed: TypeAlias = Literal["observed", "late", "full"]

_LARGEST = sys.float_info.max


class Windows:
    def __init__(self, agents: Table[AgentRow], fleets: Fleets, outbox: Outbox) -> None:
        self._agents = agents
        self._fleets = fleets
        self._outbox = outbox

    def rebuild(self) -> None:
        for key, row in self._agents.rows.items():
            if row.windows:
                fleet = self._fleets.get(row.fleet)
                for start in row.windows:
                    self._open(fleet, start, key)

    def observe(
        self,
        key: str,
        row: AgentRow,
        fleet: FleetState,
        time: int,
        log_time: int,
        samples: Mapping[str, float],
    ) -> Observed:
        """Add what an agent reported to its window, if that is not closed already, or full.

        Args:
            key: Of the agent's row.
            row: The agent.
            fleet: Its fleet.
            time: Event time, as the agent said it.
            log_time: Now.
            samples: Values by metric.
        """
        fleet_row = fleet.row
        policy = fleet.policy.windows
        size, max_lateness = policy.size, policy.max_lateness
        if time > log_time + policy.max_skew:
            time = log_time + policy.max_skew
        elif time < log_time - max_lateness:
            time = max(0, log_time - max_lateness)
        start = time - time % size
        if start + size <= fleet_row.watermark:
            fleet_row.late += 1
            self._fleets.table.touch(row.fleet)
            return "late"
        window = row.windows.get(start)
        if window is None:
            window = row.windows[start] = {}
            self._open(fleet, start, key)
        elif len(window) + len(samples) > MAX_METRICS and len(window.keys() | samples.keys()) > MAX_METRICS:
            return "full"
        for name, value in samples.items():
            aggregate = window.get(name)
            if aggregate is None:
                window[name] = Aggregate(1, value, value, value, value, time)
                continue
            aggregate.count += 1
            aggregate.sum += value
            if value < aggregate.min:
                aggregate.min = value
            if value > aggregate.max:
                aggregate.max = value
            if time >= aggregate.last_time:
                aggregate.last = value
                aggregate.last_time = time
        watermark = time - max_lateness
        if watermark > fleet_row.watermark:
            fleet_row.watermark = watermark
            self._fleets.table.dirty[row.fleet] = None
            if watermark >= fleet.next_close:
                self._close_due(row.fleet, fleet)
        return "observed"

    def tick(self, log_time: int) -> None:
        """Close what no event can reach any more, now that log time has come so far."""
        due = [
            name
            for name, fleet in self._fleets.states.items()
            if fleet.next_close <= log_time - fleet.policy.windows.max_lateness
        ]
        for name in sorted(due):
            fleet = self._fleets.states[name]
            # The row's may be higher, had an event come with a later time.
            watermark = log_time - fleet.policy.windows.max_lateness
            fleet.row.watermark = max(fleet.row.watermark, watermark)
            self._fleets.table.touch(name)
            self._close_due(name, fleet)

    def close_all(self, name: str) -> None:
        """Close every window of a fleet, whose windows are about to get another size."""
        fleet = self._fleets.get(name)
        for start in sorted(fleet.open):
            self._close(name, fleet, start)
        fleet.next_close = NEVER

    def validate(self) -> None:
        """Assert that the open windows of fleets and of agents are the same, and none should be closed."""
        for name, fleet in self._fleets.states.items():
            rows = {(start, key) for start, keys in fleet.open.items() for key in keys}
            agents = self._agents.rows.items()
            assert rows == {(start, key) for key, row in agents if row.fleet == name for start in row.windows}
            ends = [start + fleet.policy.windows.size for start in fleet.open]
            assert fleet.next_close == min(ends, default=NEVER)
            assert fleet.row.watermark < fleet.next_close

    def _open(self, fleet: FleetState, start: int, key: str) -> None:
        keys = fleet.open.get(start)
        if keys is None:
            keys = fleet.open[start] = {}
            fleet.next_close = min(fleet.next_close, start + fleet.policy.windows.size)
        keys[key] = None

    def _close_due(self, name: str, fleet: FleetState) -> None:
        size = fleet.policy.windows.size
        for start in sorted(fleet.open):
            if start + size <= fleet.row.watermark:
                self._close(name, fleet, start)
        fleet.next_close = min(fleet.open, default=NEVER - size) + size

    def _close(self, name: str, fleet: FleetState, start: int) -> None:
        end = start + fleet.policy.windows.size
        chunk: dict[str, object] = {}
        aggregates = 0
        # Keys begin with the fleet, so this is the order of agent ids.
        for key in sorted(fleet.open.pop(start)):
            row = self._agents.rows[key]
            window = row.windows.pop(start)
            self._agents.touch(key)
            if chunk and (
                len(chunk) >= _AGENTS_PER_RECORD or aggregates + len(window) > _AGGREGATES_PER_RECORD
            ):
                self._emit(name, fleet, start, end, chunk)
                chunk, aggregates = {}, 0
            chunk[row.agent_id] = {name: _on_wire(window[name]) for name in sorted(window)}
            aggregates += len(window)
        self._emit(name, fleet, start, end, chunk)

    def _emit(self, name: str, fleet: FleetState, start: int, end: int, chunk: Mapping[str, object]) -> None:
        self._outbox.window(name, start, end, chunk, fleet.row.late)
        if fleet.row.late:
            fleet.row.late = 0
            self._fleets.table.touch(name)


def _on_wire(aggregate: Aggregate) -> dict[str, float]:
    # The sum of huge numbers may be infinite, or even not a number, and JSON has neither.
    total = aggregate.sum
    if not isfinite(total):
        total = _LARGEST if total > 0 else -_LARGEST
    return {
        "count": aggregate.count,
        "sum": total,
        "mean": total / aggregate.count,
        "min": aggregate.min,
        "max": aggregate.max,
        "last": aggregate.last,
    }
