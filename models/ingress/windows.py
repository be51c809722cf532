"""Tumbling event-time windows over what agents report, and when they close.

A window ``[start, end)`` closes when the fleet's watermark reaches its end: the highest event time seen in
this partition less the allowed lateness. When the stream is silent, ticks close it: log time less the allowed
lateness is a watermark too, since an event's time is never taken to be older. A closed window is emitted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from models.ingress.cells import CELL_BYTES, MANY, NO_CELLS, Window
from models.ingress.fleets import NEVER, Fleets, FleetState
from models.ingress.outbox import Outbox
from models.ingress.rows import AgentRow, AgentTable, names_of

USED = "/used"
"""Behind the name of a resource: the metric under which what an agent uses of it is aggregated. No id has a slash,
so no agent can have a metric of its own under that name."""
MAX_METRICS = 1_024
"""Metrics of one agent in one window; with more it is refused, or it could grow without bound."""
_AGENTS_PER_RECORD = 500
_AGGREGATES_PER_RECORD = 4_000
"""A record of so many aggregates stays below 1.5 MB, with names as long as they may be."""
Observed: TypeAlias = Literal["observed", "late", "full"]

_NAMES_REMEMBERED = 65_536


class Layout(dict[str, int]):
    """Each metric to which cell of a window is its own, for all windows that have these metrics."""

    def __init__(self, metrics: str) -> None:
        self.metrics = metrics
        super().__init__((name, number) for number, name in enumerate(metrics.split()))
        self.names = sorted(self)
        self.numbers = [self[name] for name in self.names]
        """Of the names in that order."""


class Windows:
    def __init__(self, agents: AgentTable, fleets: Fleets, outbox: Outbox) -> None:
        self._agents = agents
        self._cells = agents.cells
        self._fleets = fleets
        self._outbox = outbox
        self.layouts: dict[str, Layout] = {}
        """Of those metrics, as a window names them; of some, for they are forgotten now and then."""
        self._new: dict[tuple[str, ...], Layout] = {}
        """Of a window that begins with these metrics."""
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
        max_lateness = fleet.max_lateness
        if time > log_time + fleet.max_skew:
            time = log_time + fleet.max_skew
        elif time < log_time - max_lateness:
            time = max(0, log_time - max_lateness)
        start = fleet.start
        if not start <= time < fleet.end:
            start = time - time % fleet.window_size
            if start + fleet.window_size <= fleet.row.watermark:
                fleet.row.late += 1
                self._fleets.table.touch(fleet.name)
                return "late"
        window = row.window
        if window is None or window.start != start:
            window = _find(window, start) or self._begin(fleet, start, key, row, samples)
        layout = self.layouts.get(window.metrics) or self._layout(window.metrics)
        if len(layout) + len(samples) > MAX_METRICS and len(layout.keys() | samples.keys()) > MAX_METRICS:
            return "full"
        cells = self._cells[start]
        fleet.start, fleet.end, fleet.cells = start, start + fleet.window_size, cells
        first = cells.place(window)
        places, values, moments = cells.places, cells.values, cells.moments
        moment = time - start
        for name, value in samples.items():
            number = layout.get(name)
            if number is None:
                layout, first = self._widen(window, first, layout, samples)
                number = layout[name]
            places.append(first + number)
            values.append(value)
            moments.append(moment)
        if len(values) > MANY:
            cells.add_waiting()
        watermark = time - max_lateness
        fleet_row = fleet.row
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
                assert CELL_BYTES * len(window.metrics.split()) == len(self._cells.pack(window))
            ends = [start + fleet.window_size for start in fleet.open]
            assert fleet.next_close == min(ends, default=NEVER)
            assert fleet.row.watermark < fleet.next_close
        starts = Counter(start for fleet in self._fleets.states.values() for start in fleet.open)
        assert starts == {start: cells.fleets for start, cells in self._cells.items()}

    def _begin(
        self, fleet: FleetState, start: int, key: str, row: AgentRow, samples: Iterable[str]
    ) -> Window:
        self._open(fleet, start, key)
        names = tuple(samples)
        layout = self._new.get(names)
        if layout is None:
            layout = self._new[names] = self._layout(" ".join(names))
        window = row.window = Window(start, layout.metrics, self._cells[start].take(len(layout)), row.window)
        return window

    def _widen(
        self, window: Window, first: int, layout: Layout, samples: Iterable[str]
    ) -> tuple[Layout, int]:
        """Make room for metrics that the window has not seen yet."""
        new = [name for name in samples if name not in layout]
        window.cells = first = self._cells[window.start].widen(first, len(layout), len(new))
        layout = self._layout(" ".join((*layout, *new)))
        window.metrics = layout.metrics
        return layout, first

    def _layout(self, metrics: str) -> Layout:
        layout = self.layouts.get(metrics)
        if layout is None:
            layout = Layout(metrics)
            self._names_remembered += len(layout)
            if self._names_remembered > _NAMES_REMEMBERED:  # somebody names ever new metrics
                self.layouts.clear()
                self._new.clear()
                self._names_remembered = len(layout)
            self.layouts[metrics] = layout
        return layout

    def _open(self, fleet: FleetState, start: int, key: str) -> None:
        keys = fleet.open.get(start)
        if keys is None:
            keys = fleet.open[start] = {}
            fleet.next_close = min(fleet.next_close, start + fleet.window_size)
            self._cells.fleet_opens(start)
        keys[key] = None

    def _close_due(self, fleet: FleetState) -> None:
        size = fleet.window_size
        for start in sorted(fleet.open):
            if start + size <= fleet.row.watermark:
                self._close(fleet, start)
        fleet.next_close = min(fleet.open, default=NEVER - size) + size

    def _close(self, fleet: FleetState, start: int) -> None:
        cells, skip = self._cells[start], len(fleet.name) + 1
        agents: list[tuple[str, Layout]] = []
        places: list[int] = []
        # Keys begin with the fleet, so this is the order of agent ids.
        for key in sorted(fleet.open.pop(start)):
            window = _take_out(self._agents[key], start)
            self._agents.dirty[key] = None
            layout = self.layouts.get(window.metrics) or self._layout(window.metrics)
            first = cells.place(window)
            places += [first + number for number in layout.numbers]
            agents.append((key[skip:], layout))
        aggregates = cells.read(places)
        end = start + fleet.window_size
        chunk: dict[str, object] = {}
        size = 0
        for agent_id, layout in agents:
            size += len(layout)
            if chunk and (len(chunk) >= _AGENTS_PER_RECORD or size > _AGGREGATES_PER_RECORD):
                self._emit(fleet, start, end, chunk)
                chunk, size = {}, len(layout)
            chunk[agent_id] = {
                metric: {"count": count, "sum": total, "mean": mean, "min": low, "max": high, "last": last}
                # The names come first, or the last ``zip`` would take a number too many.
                for metric, (count, total, mean, low, high, last) in zip(layout.names, aggregates)  # noqa: B905
            }
        self._emit(fleet, start, end, chunk)
        self._cells.fleet_closes(start)
        if fleet.start == start:
            fleet.start, fleet.end, fleet.cells = NEVER, NEVER, NO_CELLS

    def _emit(self, fleet: FleetState, start: int, end: int, chunk: Mapping[str, object]) -> None:
        self._outbox.window(fleet.name, start, end, chunk, fleet.row.late)
        if fleet.row.late:
            fleet.row.late = 0
            self._fleets.table.touch(fleet.name)


def _find(window: Window | None, start: int) -> Window | None:
    while window is not None and window.start != start:
        window = window.before
    return window


def _take_out(row: AgentRow, start: int) -> Window:
    """Remove an open window of an agent."""
    after, window = None, row.window
    while window is not None and window.start != start:
        after, window = window, window.before
    assert window is not None, f"no open window from {start}"
    if after is None:
        row.window = window.before
    else:
        after.before = window.before
    return window
