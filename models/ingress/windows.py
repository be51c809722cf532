"""Tumbling event-time windows over what agents report, and when they close.

A window ``[start, end)`` closes when the fleet's watermark reaches its end: the highest event time seen in
this partition less the allowed lateness. When the stream is silent, ticks close it: log time less the allowed
lateness is a watermark too, since an event's time is never taken to be older. A closed window is emitted once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Literal, TypeAlias

from models.fold import Table
from models.ingress.fleets import NEVER, Fleets, FleetState
from models.ingress.outbox import Outbox
from models.ingress.rows import CELL, EMPTY_CELL, AgentRow, Window, names_of

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
_NAMES_REMEMBERED = 65_536
_unpack, _pack = CELL.unpack_from, CELL.pack_into


class Layout(dict[str, int]):
    """Each metric to where its aggregate begins in the cells, for all windows that have these metrics."""

    def __init__(self, metrics: str) -> None:
        self.metrics = metrics
        super().__init__((name, CELL.size * number) for number, name in enumerate(metrics.split()))


class Windows:
    def __init__(self, agents: Table[AgentRow], fleets: Fleets, outbox: Outbox) -> None:
        self._agents = agents
        self._fleets = fleets
        self._outbox = outbox
        self._layouts: dict[str, Layout] = {}
        self._names_remembered = 0
        """In all layouts together."""

    def rebuild(self) -> None:
        for fleet, key, row in self._fleets.members(self._agents):
            window = row.window
            while window is not None:
                self._open(fleet, window.start, key)
                window = window.before

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
        size, max_lateness = fleet.window_size, fleet.max_lateness
        if time > log_time + fleet.max_skew:
            time = log_time + fleet.max_skew
        elif time < log_time - max_lateness:
            time = max(0, log_time - max_lateness)
        moment = time % size
        start = time - moment
        if start + size <= fleet_row.watermark:
            fleet_row.late += 1
            self._fleets.table.touch(fleet.name)
            return "late"
        window = row.window
        if window is None or window.start != start:
            window = _find(row, start) or self._begin(fleet, start, key, row)
        layout = self._layouts.get(window.metrics) or self._layout(window.metrics)
        cells = window.cells
        if len(layout) + len(samples) > MAX_METRICS and len(layout.keys() | samples.keys()) > MAX_METRICS:
            return "full"
        for name, value in samples.items():
            at = layout.get(name)
            if at is None:
                layout = self._widen(window, layout, samples)
                cells = window.cells
                at = layout[name]
            count, total, low, high, last, last_moment = _unpack(cells, at)
            if value < low:
                low = value
            if value > high:
                high = value
            if moment >= last_moment:
                last, last_moment = value, moment
            _pack(cells, at, count + 1.0, total + value, low, high, last, last_moment)
        watermark = time - max_lateness
        if watermark > fleet_row.watermark:
            fleet_row.watermark = watermark
            self._fleets.table.dirty[fleet.name] = None
            if watermark >= fleet.next_close:
                self._close_due(fleet)
        return "observed"

    def tick(self, log_time: int) -> None:
        """Close what no event can reach any more, now that log time has come so far."""
        due = [
            name
            for name, fleet in self._fleets.states.items()
            if fleet.next_close <= log_time - fleet.max_lateness
        ]
        for name in sorted(due):
            fleet = self._fleets.states[name]
            # The row's may be higher, had an event come with a later time.
            watermark = log_time - fleet.max_lateness
            fleet.row.watermark = max(fleet.row.watermark, watermark)
            self._fleets.table.touch(name)
            self._close_due(fleet)

    def close_all(self, name: str) -> None:
        """Close every window of a fleet, whose windows are about to get another size."""
        fleet = self._fleets.get(name)
        for start in sorted(fleet.open):
            self._close(fleet, start)
        fleet.next_close = NEVER

    def validate(self) -> None:
        """Assert that the open windows of fleets and of agents are the same, and none should be closed."""
        for name, fleet in self._fleets.states.items():
            rows = {(start, key) for start, keys in fleet.open.items() for key in keys}
            mine = [
                (window, key)
                for key, row in self._agents.items()
                if names_of(key)[0] == name
                for window in row.windows()
            ]
            assert rows == {(window.start, key) for window, key in mine}
            assert len(rows) == len(mine)
            for window, _ in mine:
                assert CELL.size * len(window.metrics.split()) == len(window.cells)
            ends = [start + fleet.window_size for start in fleet.open]
            assert fleet.next_close == min(ends, default=NEVER)
            assert fleet.row.watermark < fleet.next_close

    def _begin(self, fleet: FleetState, start: int, key: str, row: AgentRow) -> Window:
        window = row.window = Window(start, "", bytearray(), row.window)
        self._open(fleet, start, key)
        return window

    def _widen(self, window: Window, layout: Layout, samples: Iterable[str]) -> Layout:
        """Make room for metrics that the window has not seen yet."""
        new = [name for name in samples if name not in layout]
        layout = self._layout(" ".join((*layout, *new)))
        window.metrics = layout.metrics
        # Anew, since one that grows takes more room than it needs.
        window.cells = bytearray(window.cells + EMPTY_CELL * len(new))
        return layout

    def _layout(self, metrics: str) -> Layout:
        layout = self._layouts.get(metrics)
        if layout is None:
            layout = Layout(metrics)
            self._names_remembered += len(layout)
            if self._names_remembered > _NAMES_REMEMBERED:  # somebody names ever new metrics
                self._layouts.clear()
                self._names_remembered = len(layout)
            self._layouts[metrics] = layout
        return layout

    def _open(self, fleet: FleetState, start: int, key: str) -> None:
        keys = fleet.open.get(start)
        if keys is None:
            keys = fleet.open[start] = {}
            fleet.next_close = min(fleet.next_close, start + fleet.window_size)
        keys[key] = None

    def _close_due(self, fleet: FleetState) -> None:
        size = fleet.window_size
        for start in sorted(fleet.open):
            if start + size <= fleet.row.watermark:
                self._close(fleet, start)
        fleet.next_close = min(fleet.open, default=NEVER - size) + size

    def _close(self, fleet: FleetState, start: int) -> None:
        end = start + fleet.window_size
        chunk: dict[str, object] = {}
        aggregates = 0
        # Keys begin with the fleet, so this is the order of agent ids.
        for key in sorted(fleet.open.pop(start)):
            row = self._agents[key]
            window = _take_out(row, start)
            self._agents.touch(key)
            metrics = len(window.cells) // CELL.size
            if chunk and (len(chunk) >= _AGENTS_PER_RECORD or aggregates + metrics > _AGGREGATES_PER_RECORD):
                self._emit(fleet, start, end, chunk)
                chunk, aggregates = {}, 0
            chunk[names_of(key)[1]] = _on_wire(window)
            aggregates += metrics
        self._emit(fleet, start, end, chunk)

    def _emit(self, fleet: FleetState, start: int, end: int, chunk: Mapping[str, object]) -> None:
        self._outbox.window(fleet.name, start, end, chunk, fleet.row.late)
        if fleet.row.late:
            fleet.row.late = 0
            self._fleets.table.touch(fleet.name)


def _find(row: AgentRow, start: int) -> Window | None:
    for window in row.windows():
        if window.start == start:
            return window
    return None


def _take_out(row: AgentRow, start: int) -> Window:
    """Remove an open window of an agent."""
    after = None
    for window in row.windows():
        if window.start == start:
            break
        after = window
    else:
        raise AssertionError(f"no open window from {start}")
    if after is None:
        row.window = window.before
    else:
        after.before = window.before
    return window


def _on_wire(window: Window) -> dict[str, dict[str, float]]:
    aggregates = {}
    for metric, aggregate in sorted(window.aggregates().items()):
        # The sum of huge numbers may be infinite, or even not a number, and JSON has neither.
        total = aggregate.sum
        if not isfinite(total):
            total = _LARGEST if total > 0 else -_LARGEST
        aggregates[metric] = {
            "count": aggregate.count,
            "sum": total,
            "mean": total / aggregate.count,
            "min": aggregate.min,
            "max": aggregate.max,
            "last": aggregate.last,
        }
    return aggregates
