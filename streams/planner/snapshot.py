"""What a planner sees of a fleet: its pending tasks by class, its agents by shape, and the ledger.

A snapshot is a view on the fleet fold's live state and costs nothing to take. It holds until the fold reads on,
so a planner runs between two batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.fleet import FleetFold
from models.fleet.backlog import TaskClass, rank
from models.fleet.columns import Columns
from models.fleet.quotas import Holdings
from models.fleet.roster import Agent
from models.fleet.rows import CoalitionRow, TaskRow
from models.fleet.seal import FOLD_VERSION
from models.fleet.spread import Groups
from models.fleet.state import FleetState, State
from models.fleet_records import Provenance, SealedState
from models.policy import Policy

MAX_CLASSES = 10_000
"""Classes that :meth:`FleetSnapshot.pending` names; it stands in each plan, whose record has a largest size."""
OTHER_CLASSES = "others"


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """One fleet at one offset of the fleet log."""

    fleet: str
    based_on: int
    """Offset of the last fleet record that it reflects; -1 for none."""
    now: int
    """Log time, milliseconds: what counts for back-offs and cool-downs. Never a clock's."""
    policy: Policy
    _state: State
    _fleet: FleetState

    @property
    def provenance(self) -> Provenance:
        """Out of what a plan on it is made."""
        clock = self._state.clock
        sealed = SealedState(offset=clock.sealed, digest=clock.digest.hex()) if clock.digest else None
        return Provenance(fold=FOLD_VERSION, policy=self._fleet.policy_digest, state=sealed)

    @property
    def columns(self) -> Columns:
        """The registered agents as arrays."""
        return self._fleet.columns.refresh()

    @property
    def holdings(self) -> Holdings:
        """What each tenant holds of agents."""
        return self._fleet.holdings

    @property
    def groups(self) -> Groups:
        """Where the tasks of each group are."""
        return self._fleet.groups

    @property
    def agents(self) -> Iterable[Agent]:
        """All agents, deregistered ones too, in no order that anything may depend on."""
        return self._fleet.agents.values()

    @property
    def at_work(self) -> Mapping[int, int]:
        """How many tasks that an agent has alone there are of each standing."""
        return self._fleet.at_work

    @property
    def moved_at(self) -> int:
        """When a task was last moved to even out load; 0 if never."""
        return self._fleet.row.moved_at

    def smoothed_load(self, agent: Agent) -> float:
        """The share of the agent's slots that has been held for a while."""
        return self._fleet.smoothed_load(agent, self.now)

    def has_claim(self, task: TaskRow) -> bool:
        """Whether another task is giving way to it."""
        return self._state.has_claim(task)

    @property
    def registered(self) -> int:
        """How many agents are registered."""
        return self._fleet.registered

    @property
    def placeable(self) -> list[TaskClass]:
        """Classes with pending tasks for which somebody may have room."""
        return _placeable(self._fleet)

    @property
    def degraded(self) -> list[tuple[TaskRow, CoalitionRow]]:
        """Coalitions that lack members, each with its task, most urgent first."""
        coalitions = self._state.tables.coalitions.rows
        found = [(self.task(task_id), coalitions[name]) for name, task_id in self._fleet.degraded.items()]
        return sorted(found, key=lambda pair: rank(pair[0]))

    def class_of(self, task: TaskRow) -> TaskClass:
        return self._fleet.classes[task.class_id]

    @property
    def classes(self) -> Iterable[TaskClass]:
        """Classes of live tasks, some of which may have none pending."""
        return self._fleet.classes.values()

    @property
    def served(self) -> Mapping[str, int]:
        """What each tenant got so far; see ``models.fleet.tenants``."""
        return self._fleet.row.served

    def agent(self, agent_id: str) -> Agent | None:
        return self._fleet.agents.get(agent_id)

    def has_task(self, task_id: str) -> bool:
        """Whether there is such a task that has not ended."""
        return self._fleet.key(task_id) in self._state.tables.tasks.rows

    def task(self, task_id: str) -> TaskRow:
        return self._state.tables.tasks.rows[self._fleet.key(task_id)]

    def pending(self) -> dict[str, int]:
        """Pending tasks per class, in the order of the classes' names; sums to all that are pending."""
        counts = {c.id: len(c.queue) for c in self.classes if c.queue}
        names = sorted(counts)
        pending = {name: counts[name] for name in names[:MAX_CLASSES]}
        if len(names) > MAX_CLASSES:
            pending[OTHER_CLASSES] = sum(counts[name] for name in names[MAX_CLASSES:])
        return pending


def snapshot(fold: FleetFold, fleet: str) -> FleetSnapshot | None:
    """The fleet as the fold knows it now; ``None`` if nothing was ever heard of it."""
    state = fold.state
    found = state.fleets.get(fleet)
    if found is None:
        return None
    return FleetSnapshot(fleet, state.clock.offset, state.clock.log_time, found.policy, state, found)


def plannable(fold: FleetFold, fleet: str) -> int:
    """How many pending tasks of the fleet might be placed, coalitions mended, and tasks preempted.

    An upper bound that costs a look at each class.
    """
    found = fold.state.fleets.get(fleet)
    if found is None:
        return 0
    wanting = len(found.degraded) if found.open else 0
    return wanting + sum(len(task_class.queue) for task_class in _placeable(found)) + _preempting(found)


def _preempting(fleet: FleetState) -> int:
    """How many classes may have a task that takes another's place."""
    delta = fleet.policy.planning.preemption
    if not delta or not fleet.at_work:
        return 0
    least = min(fleet.at_work) + delta
    return sum(1 for c in fleet.classes.values() if c.queue and c.team is None and -c.queue[0][0] >= least)


def _placeable(fleet: FleetState) -> list[TaskClass]:
    return [c for c in fleet.classes.values() if c.queue and c.has_room(fleet.shapes)]
