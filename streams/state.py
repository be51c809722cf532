"""The state that the folds hold, for programs that hold a coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from models.events import DEFAULT_FLEET
from models.fields import Id
from models.fleet.views import summary
from models.fleet_records import LOAD
from models.ingress.cells import OpenCells
from models.ingress.rows import AgentRow, AgentTable, names_of
from streams.folds import fleet_fold, task_of

if TYPE_CHECKING:
    from streams.engine import FoldTable
    from streams.messages import MessageHandler

FOLDED_TIMEOUT = 10.0
"""Seconds that a change may take from the log into the state before the caller is told so."""


class AgentState(BaseModel):
    """An agent as it describes itself."""

    agent_id: Id
    status: Literal["active", "idle", "busy", "draining", "offline", "error"]
    capabilities: list[Id] = Field(default_factory=list, max_length=256)
    current_load: float = Field(0.0, ge=0, allow_inf_nan=False)
    last_updated: datetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class SystemState:
    """One fleet at one moment; ``summary`` has its figures."""

    fleet: str
    summary: dict[str, object]


class StateManager:
    """Reads the agents' rows and writes through the log, never beside it.

    Args:
        agents: The table of the ingress folds.
        fleet: The table of the fleet folds.
        messages: Appends the events that change an agent's state.
    """

    def __init__(self, agents: FoldTable, fleet: FoldTable, messages: MessageHandler) -> None:
        self.agents = agents
        self.fleet = fleet
        self.messages = messages

    @property
    def agent_states(self) -> Mapping[str, AgentState]:
        """The agents of the default fleet in the partitions of this worker, by id."""
        return _AgentStates(self.agents, DEFAULT_FLEET)

    async def track_agent_state(self, agent_id: str, state: AgentState) -> None:
        """Append the agent's state to the log and wait until it is folded.

        Raises:
            ValueError: if ``state`` is another agent's.
            TimeoutError: if it is in the log, but not folded in time; the coordinator lags.
        """
        if state.agent_id != agent_id:
            raise ValueError(f"the state is of {state.agent_id!r}, not of {agent_id!r}")
        place = await self.messages.process_message(
            {
                "type": "status_update",
                "agent_id": agent_id,
                "status": state.status,
                "capabilities": state.capabilities,
                "current_load": state.current_load,
                "time": state.last_updated.timestamp(),
            }
        )
        await self.folded(place.partition, place.offset)

    async def folded(self, partition: int, offset: int) -> None:
        """Wait until the record at ``offset`` of an events partition is folded, if this worker owns it."""
        async with asyncio.timeout(FOLDED_TIMEOUT):
            while (task := self.agents.tasks.get(partition)) is not None:
                if task.position is not None and task.position > offset:
                    return
                await asyncio.sleep(0.01)

    async def update_system_state(self, fleet: str = DEFAULT_FLEET) -> SystemState:
        """The fleet as it is now.

        Raises:
            LookupError: if another worker holds the fleet's partition.
        """
        return SystemState(fleet, summary(fleet_fold(task_of(self.fleet, fleet)), fleet))


class _AgentStates(Mapping[str, AgentState]):
    """A live view: nothing is copied until it is asked for."""

    def __init__(self, table: FoldTable, fleet: str) -> None:
        self._table = table
        self._fleet = fleet

    def __getitem__(self, agent_id: str) -> AgentState:
        for agents in self._agents():
            row = agents.get(f"{self._fleet}/{agent_id}")
            if row is not None and row.state != "deregistered":
                return _described(agent_id, row, agents.cells)
        raise KeyError(agent_id)

    def __iter__(self) -> Iterator[str]:
        for agents in self._agents():
            for key, row in agents.items():
                fleet, agent_id = names_of(key)
                if fleet == self._fleet and row.state != "deregistered":
                    yield agent_id

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _agents(self) -> Iterator[AgentTable]:
        for task in self._table.tasks.values():
            yield task.fold.tables["agents"]  # type: ignore[misc]


def _described(agent_id: str, row: AgentRow, cells: OpenCells) -> AgentState:
    windows = [(window.start, cells.aggregates(window)) for window in row.windows()]
    loads = [(start, seen[LOAD].last) for start, seen in windows if LOAD in seen]
    return AgentState(
        agent_id=agent_id,
        status=row.status or "active",
        capabilities=row.capabilities or [],
        current_load=max(loads)[1] if loads else 0.0,
        last_updated=datetime.fromtimestamp(row.beat_time / 1000, UTC),
    )
