"""Several coalitions at once: weighed against each other, where one after the other would take what another needs.

One after the other, the most urgent first, each gets the cheapest team that is left; the first may take the only
agent that a later one could have had, for a penny less. So tasks of one priority are chosen for together, too
(``streams.planner.coalitions``), and that choice is taken if it is better: if nobody is worse off for it who would
have had a team in turn, and more tasks get one, or the same ones cost less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from models.fleet.backlog import TaskClass
from models.fleet.rows import TaskRow
from models.fleet.team import Team
from streams.planner.coalitions import Candidate, form
from streams.planner.covers import AT_ONCE
from streams.planner.room import Room
from streams.planner.teams import choose

Seats: TypeAlias = list[tuple[int, str | None]]
"""Positions of members, each with its role."""

MOST_TASKS = 200
"""That are weighed against each other."""
WORK_UNITS = 16
"""Of planning, for one of :func:`streams.planner.coalitions.form`: what it counts takes so much longer."""
PER_TASK = 2_000
"""Of those, for each task of a group."""
_KEPT = 16
"""Times the value of a team for a task that would have one in turn: it is to keep it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A task that a team is sought for."""

    task: TaskRow
    task_class: TaskClass
    team: Team
    """What is sought: not all that the task asks for, where it has some members already."""
    without: Sequence[str]
    """Agents that are not asked."""

    @property
    def can_be_weighed(self) -> bool:
        """Whether it can be chosen for together with others: no roles, no named resources, and not so much to
        cover that one look at it costs more than all that is spent on weighing it."""
        few = len(self.team.cover) <= AT_ONCE
        return few and not self.team.parts and not self.task.resources


def cheapest(room: Room, wish: Wish) -> Seats | None:
    """The cheapest team that there is now."""
    able = room.able(wish.task, room.eligible(wish.task_class), wish.without)
    chosen = choose(wish.team, lambda name: room.having(name)[able], room.costs(wish.task, able))
    return None if chosen is None else [(int(able[number]), role) for number, role in chosen]


def teams(room: Room, wishes: Sequence[Wish], value: int, budget: int) -> list[Seats | None]:
    """A team for each wish, as far as there is one.

    Args:
        room: What there is. Nothing is taken from it.
        wishes: Tasks of one priority, the most urgent first.
        value: Of a team for one of them.
        budget: Work units that may be spent on weighing them against each other.
    """
    trial = room.trial()
    found: list[Seats | None] = []
    for wish in wishes:
        found.append(cheapest(trial, wish))
        _take(trial, wish.task, found[-1])
    if not work_of(wishes):
        return found
    together = [number for number, wish in enumerate(wishes) if wish.can_be_weighed]
    rest = room.trial()
    for wish, seats in zip(wishes, found, strict=True):
        if not wish.can_be_weighed:
            _take(rest, wish.task, seats)
    before = [found[number] for number in together]
    better = _better(rest, [wishes[number] for number in together], before, value, budget // WORK_UNITS)
    for number, seats in zip(together, better or before, strict=True):
        found[number] = seats
    return found


def work_of(wishes: Sequence[Wish]) -> int:
    """Work units that are worth spending on weighing them against each other; 0 if there is nothing to weigh."""
    together = sum(wish.can_be_weighed for wish in wishes)
    return WORK_UNITS * PER_TASK * together if 2 <= together <= MOST_TASKS else 0


def _better(
    room: Room, wishes: Sequence[Wish], before: Sequence[Seats | None], value: int, budget: int
) -> list[Seats | None] | None:
    """Teams that are chosen together; ``None`` if that is no better than what they would get in turn."""
    size = float(np.median([wish.task.size for wish in wishes]))
    usual = min(wishes, key=lambda wish: (abs(wish.task.size - size), wish.task.task_id)).task
    slots = max(wish.task.slots for wish in wishes)
    able = [room.able(wish.task, room.eligible(wish.task_class), wish.without) for wish in wishes]
    positions, costs = room.units(usual, np.unique(np.concatenate(able)), slots, len(wishes))
    candidates = [
        Candidate(
            tuple(sorted(wish.team.cover)),
            value * (1 if seats is None else _KEPT),
            wish.team.max_size,
            np.isin(positions, those),
        )
        for wish, those, seats in zip(wishes, able, before, strict=True)
    ]
    capabilities = [room.agent(position).shape.capabilities for position in positions.tolist()]
    found: list[Seats | None] = [
        None if members is None else [(int(positions[member]), None) for member in members]
        for members in form(capabilities, costs.tolist(), candidates, budget).coalitions
    ]
    if any(now is None and seats is not None for now, seats in zip(found, before, strict=True)):
        return None
    more = sum(seats is not None for seats in found) - sum(seats is not None for seats in before)
    return found if more > 0 or cost_of_all(room, wishes, found) < cost_of_all(room, wishes, before) else None


def cost_of_all(room: Room, wishes: Sequence[Wish], found: Sequence[Seats | None]) -> int:
    """What these teams cost together. Nothing is taken from the room."""
    trial = room.trial()
    return sum(_take(trial, wish.task, seats) for wish, seats in zip(wishes, found, strict=True))


def _take(room: Room, task: TaskRow, seats: Seats | None) -> int:
    """The members hold the task, too; what that costs."""
    if seats is None:
        return 0
    cost = int(room.costs(task, np.array([position for position, _ in seats])).sum())
    for position, _ in seats:
        room.give(position, task)
    return cost
