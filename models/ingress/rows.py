"""What the ingress fold remembers: the rows of its tables. Whatever is not here does not survive a restart.

Rows are stored as arrays: a new field goes to the end and has a default, so that old rows still decode.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from models.events import DEFAULT_HEARTBEAT_INTERVAL, Status
from models.fold import Table
from models.ingress.cells import OpenCells, Window

Outcome: TypeAlias = Literal["applied", "duplicate", "late", "rejected", "dead_lettered", "rekeyed", "tick"]
OUTCOMES: tuple[Outcome, ...] = (
    "applied",
    "duplicate",
    "late",
    "rejected",
    "dead_lettered",
    "rekeyed",
    "tick",
)
"""What can become of a record; every record read has exactly one."""

Liveness: TypeAlias = Literal["alive", "suspected", "lost", "deregistered"]


class AgentRow(msgspec.Struct, array_like=True, gc=False):
    """One agent, known by any event of its own; key ``fleet/agent_id``, which alone says whose row it is.

    What every event touches stands together in memory, before the rest. No row can be part of a cycle, so the
    garbage collector need not walk them.
    """

    state: Liveness = "alive"

    status: Status | Literal[""] = ""
    """As last forwarded; empty while the fleet log knows none from this registration."""

    incarnation: int = 0
    seq: int = -1
    """The highest of this incarnation; -1 before the first."""

    heartbeat_interval: int = DEFAULT_HEARTBEAT_INTERVAL
    """Milliseconds, as the agent announced it."""
    beat_time: int = 0
    """Log time of its last event."""
    beat_tick: int = 0
    """Ticks that had counted in this partition at its last event: silence is the difference to now."""
    beats: int = 0
    """Gaps between events that ``gap_mean`` has learned from."""
    gap_mean: float = float(DEFAULT_HEARTBEAT_INTERVAL)
    gap_variance: float = (DEFAULT_HEARTBEAT_INTERVAL / 4) ** 2

    window: Window | None = None
    """The open window that was opened last; see :meth:`windows`."""

    capabilities: list[str] | None = None
    """As last forwarded, or ``None``: then the next ones count as a change."""
    slots: int | None = None
    resources: dict[str, float] | None = None
    """Capacities, as last forwarded."""

    def windows(self) -> Iterator[Window]:
        """Every open window, the one that was opened last first."""
        window = self.window
        while window is not None:
            yield window
            window = window.before


def names_of(key: str) -> tuple[str, str]:
    """Fleet and agent id of an agent's key; neither can contain a slash."""
    fleet, _, agent_id = key.partition("/")
    return fleet, agent_id


class FleetRow(msgspec.Struct, array_like=True):
    """What all agents of a fleet share in this partition; key: the fleet."""

    policy: dict[str, Any] | None = None
    """The policy in force, as it stands on the wire; ``None`` for the default."""
    watermark: int = 0
    """Windows that end at or before this time are closed for good."""
    late: int = 0
    """Events that came too late for their window since the last ``window_closed``."""


class ClockRow(msgspec.Struct, array_like=True):
    """The partition itself: its time and its books. One row, with the empty key."""

    log_time: int = 0
    """The highest append time so far: log time never runs backwards."""
    ticks: int = 0
    """Ticks that counted."""
    tick_due: int = 0
    """Log time at which the next tick is due; see ``IngressFold._tick``."""
    records: int = 0
    """Records read; the outcomes sum to it."""
    outcomes: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    rejections: dict[str, int] = msgspec.field(default_factory=dict)
    """Rejected records by reason."""
    contradictions: int = 0
    """CloudEvents headers that said something else than the body."""
    through_due: int = 1
    """Log time at which the fleet log hears how far this partition has been forwarded, if no tick says so before;
    beyond 0, the time before any record, of which there is nothing to tell."""


class OriginRow(msgspec.Struct, array_like=True):
    """How far another partition's misplaced records have arrived here; key: that partition's number."""

    offset: int


class AlertRow(msgspec.Struct, array_like=True):
    """An alert that was raised and is not repeated for a while; key: what it was about."""

    until: int
    """Log time from which it may be raised again."""


class AgentTable(Table[AgentRow]):
    """The agents; their open windows have contents elsewhere, which go into the stored row and come from it."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        super().__init__("agents", AgentRow, evictable=True)
        self.cells = OpenCells()

    def encode(self, row: AgentRow) -> bytes:
        window = row.window
        if window is None:
            return super().encode(row)
        if window.before is not None:
            return self._encode_windows(row)
        here, window.cells = window.cells, self.cells.pack(window)
        payload = super().encode(row)
        window.cells = here
        return payload

    def _encode_windows(self, row: AgentRow) -> bytes:
        windows = [(window, window.cells) for window in row.windows()]
        for window, _ in windows:
            window.cells = self.cells.pack(window)
        payload = super().encode(row)
        for window, here in windows:
            window.cells = here
        return payload

    def evict(self, key: str) -> None:
        for window in self.rows[key].windows():
            self.cells.give_back(window)
        super().evict(key)


class Tables:
    """The tables of one partition's fold."""

    __slots__ = ("agents", "alerts", "clock", "fleets", "origins")

    def __init__(self) -> None:
        self.agents = AgentTable()
        self.fleets = Table("fleets", FleetRow)
        self.clock = Table("clock", ClockRow)
        self.origins = Table("origins", OriginRow)
        self.alerts = Table("alerts", AlertRow)
