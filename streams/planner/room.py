"""The agents that have room for tasks, as arrays: what each has left while a plan is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from models.fleet.backlog import TaskClass
from models.fleet.columns import Columns
from models.fleet.costs import cost_of
from models.fleet.feasibility import Needs
from models.fleet.roster import Agent, Shape
from models.fleet.rows import TaskRow
from models.fleet.spread import Groups, Spread
from models.objective import Weights
from streams.planner.waterfill import MAX_AGENTS, Agents, Ints

_DEAREST = float(1 << 40)


class Room:
    """Every agent that gets new work and has a free slot.

    Each has a position, in the order of ids, so that equal fleets give equal arrays.

    Args:
        columns: All agents.
        weights: What counts for how much.
        groups: Where the tasks of each group are, those that the plan places included: it is kept up to date.
    """

    def __init__(self, columns: Columns, weights: Weights, groups: Groups) -> None:
        self._columns = columns
        self._weights = weights
        self._groups = groups
        self._among = among = np.flatnonzero(columns.open)[:MAX_AGENTS]
        """Where each stands among all agents."""
        self._shape_of = columns.shapes[among]
        self._slots = columns.slots[among]
        self._whole = columns.whole[among]
        self._held = columns.held[among]
        self._slowness = columns.slowness[among]
        self._zone_of = columns.zones[among]
        self._everybody = np.arange(len(among))
        self._times_everywhere: dict[int, Ints] = {}
        """How often each agent has room for so many slots, until somebody is given some."""
        self._agents: list[Agent] | None = None
        self._resources: dict[str, Ints] = {}
        """What is left of each resource that somebody asked for, in millionths."""
        self._eligible: dict[str, Ints] = {}
        self._penalties: dict[tuple[str | None, tuple[tuple[str, str], ...]], Ints | None] = {}
        self._having: dict[str, NDArray[np.bool_]] = {}
        self._shapes: tuple[list[Shape], Ints] | None = None
        self._places: dict[str, tuple[dict[str | None, int], Ints]] = {}
        """For each thing that groups are spread by, the number of each place, and of every agent that of its
        own."""

    @property
    def agents(self) -> list[Agent]:
        """All of them, by position. Whoever wants one only asks for :meth:`agent`."""
        if self._agents is None:
            self._agents = [self._columns.agents[place] for place in self._among.tolist()]
        return self._agents

    def agent(self, position: int) -> Agent:
        return self._columns.agents[int(self._among[position])]

    @property
    def free(self) -> int:
        """Slots that are left."""
        return int(np.maximum(self._slots - self._held, 0).sum())

    def arrays(self) -> Agents:
        """As the water-fill wants them."""
        return Agents(self._slots, self._held, self._slowness)

    def eligible(self, task_class: TaskClass) -> Ints:
        """Positions of the agents that could hold tasks of the class, rising."""
        found = self._eligible.get(task_class.id)
        if found is None:
            able = np.zeros(
                1 + max(self._shape_of.max(initial=0), task_class.shapes.max(initial=0)), np.bool_
            )
            able[task_class.shapes] = True
            found = self._eligible[task_class.id] = np.flatnonzero(able[self._shape_of])
        return found

    def room_for(self, task_class: TaskClass) -> int:
        """How many tasks of the class there is room for at most, other classes left aside."""
        eligible, slots = self.eligible(task_class), max(task_class.slots, 1)
        everywhere = self._times_everywhere.get(slots)
        if everywhere is None:
            everywhere = self._times_everywhere[slots] = self._times(self._everybody, slots)
        left = everywhere[eligible]
        spread = task_class.spread
        if spread is None or spread.most is None:
            return int(left.sum())
        numbers, places = self._places_by(spread)
        room = np.bincount(places[eligible], weights=np.maximum(left, 0), minlength=len(numbers))
        return int(np.minimum(room, np.maximum(spread.most - self._counts(spread), 0)).sum())

    def penalties(self, task: TaskRow) -> Ints | None:
        """For every agent what the task costs more there, since its preferences are missed; ``None`` for none.

        Tasks that prefer the same get the same array.
        """
        preference = task.prefer_zone, tuple(sorted(task.prefer_labels.items())) if task.prefer_labels else ()
        if preference in self._penalties:
            return self._penalties[preference]
        zone, labels = preference
        penalties: Ints | None = None
        if zone is not None:
            number = self._columns.zone_numbers.get(zone, -1)
            penalties = (self._zone_of != number) * self._weights.wrong_zone
        if labels:
            missed = self._unlike(labels) * self._weights.wrong_labels
            penalties = missed if penalties is None else penalties + missed
        self._penalties[preference] = penalties
        return penalties

    def able(self, task: TaskRow, eligible: Ints, without: Iterable[str]) -> Ints:
        """Which of these agents have room for the task, some of them left out."""
        able = self._times(eligible, task.slots) > 0
        for name, amount in task.resources.items():
            able &= self._left_of(name)[eligible] >= amount
        for agent_id in without:
            position = self._position(agent_id)
            if position is not None:
                able &= eligible != position
        spread = task.spread
        if spread is not None and spread.most is not None:
            able &= self._crowds(spread)[eligible] < spread.most
        able_ones: Ints = eligible[able]
        return able_ones

    def costs(self, task: TaskRow, positions: Ints, more: Ints | int = 0) -> Ints:
        """What the task costs on each of these agents, as of now, or if so many more slots were held."""
        held, slots = self._held[positions] + more, self._slots[positions]
        costs = np.minimum(np.rint(self._slowness[positions] * task.size), _DEAREST)
        costs += np.rint(self._weights.load * task.slots * (2.0 * held + task.slots) / slots)
        penalties = self.penalties(task)
        if penalties is not None:
            costs += penalties[positions]
        if task.spread is not None:
            costs += self._crowds(task.spread)[positions] * self._weights.crowded
        whole: Ints = costs.astype(np.int64)
        return whole

    def having(self, capability: str) -> NDArray[np.bool_]:
        """Whether each agent has the capability, which its shape says."""
        found = self._having.get(capability)
        if found is None:
            found = self._by_shape(lambda shape: capability in shape.capabilities)
            self._having[capability] = found
        return found

    def units(self, task: TaskRow, positions: Ints, slots: int, most: int) -> tuple[Ints, Ints]:
        """These agents, each as often as it has room for so many slots, and what the task costs each time.

        Args:
            task: Of one slot or several.
            positions: Of the agents, rising.
            slots: Taken each time.
            most: So often at the most.
        """
        times = np.minimum(self._times(positions, slots), most)
        repeated = np.repeat(positions, times)
        level = np.arange(len(repeated)) - np.repeat(np.cumsum(times) - times, times)
        return repeated, self.costs(task, repeated, level * slots)

    def _times(self, positions: Ints, slots: int) -> Ints:
        """How often each of these agents has room for so many slots. Whoever holds nothing has it once, if it has
        so many at all, whatever else bounds it."""
        held = self._held[positions]
        times = np.maximum(self._slots[positions] - held, 0) // slots
        whole: Ints = np.maximum(times, (held == 0) & (self._whole[positions] >= slots))
        return whole

    def trial(self) -> Room:
        """A copy to try something on."""
        other = copy(self)
        other._held = self._held.copy()
        other._times_everywhere = {}
        other._resources = {name: left.copy() for name, left in self._resources.items()}
        return other

    def give(self, position: int, needs: Needs) -> None:
        """One agent holds one task more."""
        self._held[position] += needs.slots
        self._times_everywhere.clear()
        for name, amount in needs.resources.items():
            self._left_of(name)[position] -= amount

    def give_slots(self, positions: Ints) -> None:
        """Agents hold one slot more, for each time that their position is there."""
        np.add.at(self._held, positions, 1)
        self._times_everywhere.clear()

    def block(self, positions: Ints) -> None:
        """These agents get nothing more in this plan."""
        self._held[positions] = self._whole[positions]
        self._times_everywhere.clear()

    def cost(self, task: TaskRow, draft: Agent) -> int:
        """What the task costs on an agent that holds what the plan has given to it so far."""
        return cost_of(task, draft, self._weights, draft.held_slots).total

    def slowness(self, positions: Ints) -> Ints:
        return self._slowness[positions]

    def _places_by(self, spread: Spread) -> tuple[dict[str | None, int], Ints]:
        found = self._places.get(spread.by)
        if found is None:
            numbers: dict[str | None, int] = {}
            places = [numbers.setdefault(spread.place(agent.row), len(numbers)) for agent in self.agents]
            found = self._places[spread.by] = numbers, np.array(places, np.int64)
        return found

    def _counts(self, spread: Spread) -> Ints:
        """How many tasks of the group are at each place that has a number."""
        numbers, _ = self._places_by(spread)
        counts = np.zeros(len(numbers), np.int64)
        for place, count in self._groups.counts(spread).items():
            if place in numbers:
                counts[numbers[place]] = count
        return counts

    def _crowds(self, spread: Spread) -> Ints:
        """For every agent how many tasks of the group are where it is."""
        _, places = self._places_by(spread)
        return self._counts(spread)[places]

    def _left_of(self, name: str) -> Ints:
        left = self._resources.get(name)
        if left is None:
            held = np.array([agent.held_resources.get(name, 0) for agent in self.agents], np.int64)
            capacities = [agent.shape.resources.get(name, 0) for agent in self.agents]
            left = self._resources[name] = np.array(capacities, np.int64) - held
        return left

    def _unlike(self, labels: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
        """Whether each agent lacks some of these labels."""
        return self._by_shape(lambda shape: any(shape.labels.get(name) != value for name, value in labels))

    def _by_shape(self, is_so: Callable[[Shape], bool]) -> NDArray[np.bool_]:
        """For each agent whether it is so for its shape."""
        if self._shapes is None:
            _, first, place = np.unique(self._shape_of, return_index=True, return_inverse=True)
            self._shapes = [self.agent(position).shape for position in first.tolist()], place
        shapes, place = self._shapes
        found: NDArray[np.bool_] = np.array([is_so(shape) for shape in shapes], np.bool_)[place]
        return found

    def _position(self, agent_id: str) -> int | None:
        place = self._columns.position(agent_id)
        if place is None:
            return None
        position = int(np.searchsorted(self._among, place))
        return position if position < len(self._among) and self._among[position] == place else None
