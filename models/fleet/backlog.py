"""Pending tasks, grouped by what they require and kept in the order in which they deserve to be placed.

All of this derives from the rows of tasks. Tasks with equal requirements form a class: whatever is found out
about one (who could hold it, that nobody has room) holds for all, so that work goes with classes, not tasks. Each
tenant's tasks form classes of their own, so that tenants can take turns.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.codec import encode
from models.fields import LAST_MILLISECOND
from models.fleet.feasibility import Reason, never
from models.fleet.roster import Shape, Shapes
from models.fleet.rows import TaskRow
from models.fleet.spread import Spread

Rank: TypeAlias = tuple[int, int, int, str]
Survey: TypeAlias = tuple[dict[str, int], dict[str, str] | None]


def rank(task: TaskRow) -> Rank:
    """Sorts tasks: higher priority first, then the one that must start the earlier, then the older, then by id."""
    return (-task.standing, latest_start(task), task.sequence, task.task_id)


def latest_start(task: TaskRow) -> int:
    """When an agent of speed 1 must begin to meet the deadline: its order is that of the tasks' slack."""
    return LAST_MILLISECOND + 1 if task.deadline is None else task.deadline - round(task.size * 1000)


def class_id_of(
    capabilities: list[str],
    resources: dict[str, int],
    labels: dict[str, str],
    slots: int,
    coalition: bytes | None,
    tenant: str | None,
    spread: Spread | None = None,
) -> str:
    """Names the class of a requirement, all of whose parts are in the order of their names."""
    content: list[object] = [
        capabilities,
        sorted(resources.items()),
        sorted(labels.items()),
        slots,
        None if coalition is None else coalition.decode(),
    ]
    if tenant is not None:
        content.append(tenant)
    if spread is not None and spread.most is not None:  # else it forbids nothing
        content.append({"spread": [spread.group, spread.by, spread.most]})
    return sha256(encode(content)).hexdigest()[:16]


class TaskClass:
    """Live tasks with equal requirements, of one tenant."""

    __slots__ = (
        "_shapes",
        "_unfit",
        "capabilities",
        "capable",
        "id",
        "labels",
        "queue",
        "resources",
        "slots",
        "spread",
        "surveyed",
        "tasks",
        "team",
        "tenant",
    )

    def __init__(self, task: TaskRow) -> None:
        self.id = task.class_id
        self.tenant = task.tenant or ""
        self.capabilities = task.capabilities
        self.resources = task.resources
        self.labels = task.labels
        self.slots = task.slots
        self.team = task.team
        self.spread = None if task.spread is None or task.spread.most is None else task.spread
        """What its tasks are kept apart by, if more of them may not be at one place."""
        self.capable: dict[int, Shape] = {}
        """The shapes of registered agents that could hold such a task, by their numbers."""
        self._shapes: NDArray[np.int64] | None = None
        self._unfit: tuple[int, dict[Reason, list[Shape]]] = (-1, {})
        self.surveyed: tuple[int, Survey] | None = None
        """What ``models.fleet.explain`` found last for such a task, and at which offset."""
        self.queue: list[Rank] = []
        """Its pending tasks, best first."""
        self.tasks = 0
        """All its tasks that have not ended, pending or not: the class lives while there are any."""

    @property
    def impossible(self) -> bool:
        """Whether tasks wait that no registered agent could ever hold, or no coalition of them."""
        return bool(self.queue) and not self._possible

    @property
    def _possible(self) -> bool:
        if self.team is None or not self.capable:
            return bool(self.capable)
        return self.team.possible((shape.capabilities, len(shape.agents)) for shape in self.capable.values())

    @property
    def shapes(self) -> NDArray[np.int64]:
        """The numbers of those shapes, in no order that anything may depend on."""
        if self._shapes is None:
            self._shapes = np.fromiter(self.capable, np.int64, len(self.capable))
        return self._shapes

    def unfit(self, shapes: Shapes) -> dict[Reason, list[Shape]]:
        """The shapes that could not hold such a task, by the reason."""
        if self._unfit[0] != shapes.version:
            found: dict[Reason, list[Shape]] = {}
            for shape in shapes.values():
                reason = never(self, shape)
                if reason is not None:
                    found.setdefault(reason, []).append(shape)
            self._unfit = shapes.version, found
        return self._unfit[1]

    def has_room(self, shapes: Shapes) -> bool:
        """Whether some agent that could hold such a task has a free slot."""
        return bool(shapes.with_room[self.shapes].any())

    def meet(self, shape: Shape) -> None:
        """Take note of a new shape."""
        if never(self, shape) is None:
            self.capable[shape.number] = shape
            self._shapes = None

    def part_with(self, shape: Shape) -> None:
        """Take note that nobody has the shape any more."""
        if self.capable.pop(shape.number, None) is not None:
            self._shapes = None

    def enqueue(self, task: TaskRow) -> None:
        insort(self.queue, rank(task))

    def dequeue(self, task: TaskRow) -> None:
        entry = rank(task)
        place = bisect_left(self.queue, entry)
        assert self.queue[place] == entry, f"task {task.task_id} is not queued"
        del self.queue[place]
