"""The fleets that have been seen in this partition: their policies and the state of their windows."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from models.fold import Table
from models.ingress.cells import NO_CELLS
from models.ingress.rows import AgentRow, FleetRow
from models.policy import DEFAULT_POLICY, Policy, patched, policy_to_wire

NEVER = sys.maxsize
"""Later than any time."""


class FleetState:
    """A fleet's row, and what is derived from it and from its agents' open windows."""

    __slots__ = (
        "cells",
        "end",
        "max_lateness",
        "max_skew",
        "memory",
        "name",
        "next_close",
        "open",
        "policy",
        "row",
        "start",
        "window_size",
    )

    def __init__(self, name: str, row: FleetRow) -> None:
        self.name = name
        self.row = row
        policy = DEFAULT_POLICY
        if row.policy is not None:
            policy = patched(DEFAULT_POLICY, row.policy, row.policy["version"])
        self.govern(policy)
        self.open: dict[int, dict[str, None]] = {}
        """Start of each open window to the keys of the agents that are in it."""
        self.next_close = NEVER
        """Watermark at which the next window closes."""
        self.start = self.end = NEVER
        """Of the open window that was reported to last, which is where nearly all reports belong."""
        self.cells = NO_CELLS
        """Of that window, if there is one."""

    def govern(self, policy: Policy) -> None:
        """Put a policy into force. What every event asks of it lies at hand."""
        self.policy = policy
        self.window_size = policy.windows.size
        self.max_lateness = policy.windows.max_lateness
        self.max_skew = policy.windows.max_skew
        self.memory = policy.liveness.memory


class Fleets:
    """Every fleet that has been seen in this partition."""

    def __init__(self, table: Table[FleetRow]) -> None:
        self.table = table
        self.states: dict[str, FleetState] = {}

    def rebuild(self) -> None:
        self.states.clear()
        self.states.update((fleet, FleetState(fleet, row)) for fleet, row in self.table.rows.items())

    def get(self, fleet: str) -> FleetState:
        state = self.states.get(fleet)
        if state is None:
            row = self.table.get(fleet) or self.table.put(fleet, FleetRow())
            state = self.states[fleet] = FleetState(fleet, row)
        return state

    def of(self, key: str) -> FleetState:
        """The fleet of the agent with this key."""
        return self.get(key.partition("/")[0])

    def members(self, agents: Table[AgentRow]) -> Iterator[tuple[FleetState, str, AgentRow]]:
        """Every agent, with its fleet and its key. Made for restores, which see a million of them."""
        prefix, fleet = "/", None
        for key, row in agents.items():
            if fleet is None or not key.startswith(prefix):
                fleet = self.of(key)
                prefix = f"{fleet.name}/"
            yield fleet, key, row

    def policy_of(self, fleet: str) -> Policy:
        """The policy of a fleet that need not exist: a refused record must not bring one into being."""
        state = self.states.get(fleet)
        return state.policy if state is not None else DEFAULT_POLICY

    def adopt(self, fleet: str, policy: Policy) -> None:
        """Put a policy into force."""
        state = self.get(fleet)
        state.govern(policy)
        state.row.policy = policy_to_wire(policy)
        self.table.touch(fleet)
