"""Whose turn it is: the most urgent tasks that there is room for, tenants in turn, within a budget of work units.

Classes of tasks wait in a heap, by the first of their queues. Of equal priority are those first whose tenant was
served least (virtual time: Parekh & Gallager, IEEE/ACM Transactions on Networking 1, 1993), then the most urgent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from models.fleet import tenants
from models.fleet.backlog import Rank, TaskClass
from models.fleet.quotas import Holdings, excess
from models.fleet.rows import TaskRow
from models.fleet.team import Team
from models.policy import PlanningPolicy
from streams.planner.room import Room
from streams.planner.snapshot import FleetSnapshot
from streams.planner.waterfill import PORTION_OVERHEAD

TASK_OVERHEAD = 200
"""Work units that a task costs beside the agents that are looked at for it."""
_GLANCE = 20
"""Work units that it costs to see that a tenant holds all it may."""
_IN_VAIN = 8
"""To find that there is no room for a class costs one part, of so many, of what placing its tasks does."""


@dataclass(slots=True)
class Taken:
    """A task that the plan is to place."""

    rank: Rank
    task: TaskRow
    task_class: TaskClass


@dataclass(slots=True, order=True)
class _Head:
    """A class with tasks that were not taken yet, by how urgent the first of them is."""

    priority: int
    served: int
    """What its tenant was served when this was noted: it may have got more since."""
    rank: Rank
    task_class: TaskClass = field(compare=False)
    position: int = field(default=0, compare=False)
    """Of that task in the queue."""


def cover_work(team: Team) -> int:
    """Work units that it costs to find a team: those of a cover rise steeply, see ``streams.planner.covers``."""
    pairs: int = 3 ** len(team.cover)
    return pairs // 4


class Turns:
    """The tasks that wait, as a plan takes them.

    Attributes:
        budget: Work units that are left.
        truncated: Whether they were used up before all was looked at.
    """

    def __init__(self, snapshot: FleetSnapshot, planning: PlanningPolicy, room: Room, budget: int) -> None:
        self._snapshot = snapshot
        self._planning = planning
        self._room = room
        self.budget = budget
        self.truncated = False
        classes = snapshot.placeable
        self._served = dict(snapshot.served)
        self._heads = [_Head(c.queue[0][0], self._served.get(c.tenant, 0), c.queue[0], c) for c in classes]
        heapify(self._heads)
        self._tenants_share = len({c.tenant for c in classes}) > 1
        self._limited = bool(planning.quotas or planning.allocations)
        self._full: set[str] = set()
        """Classes for none of whose tasks there is room: within a plan it only shrinks."""

    def spend(self, work: int) -> None:
        """So many work units are used up."""
        self.budget -= work

    def no_room_for(self, task_class: TaskClass) -> None:
        """Nobody can hold a task of the class any more."""
        self._full.add(task_class.id)

    def take(self, limit: int, holdings: Holdings) -> list[Taken]:
        """The most urgent tasks, as many as there is room for, roughly: other classes may want the same room.

        Args:
            limit: Agents that they may ask for together.
            holdings: What tenants hold by now.
        """
        taken: list[Taken] = []
        asked, room = 0, self._room.free
        left: dict[str, int] = {}
        """For how many tasks of a class there is room, those that were taken left out."""
        postponed: list[_Head] = []
        holdings = holdings.draft()
        while self._heads and asked < limit and room > 0:
            if self.budget <= 0:
                self.truncated = True
                break
            head = heappop(self._heads)
            task_class = head.task_class
            if task_class.id in self._full or self._let_others_go_first(head):
                continue
            team = task_class.team
            least, members = (1, 1) if team is None else (team.least, team.max_size)
            if self._limited and excess(self._planning, holdings, task_class, least):
                self.spend(_GLANCE)
                postponed.append(head)
                continue
            if task_class.id not in left:
                left[task_class.id] = self._room_for(task_class)
                if task_class.id in self._full:
                    continue
            if not left[task_class.id]:
                postponed.append(head)
                continue
            one = self._next(head)
            task = one.task
            if team is not None:
                self.spend(cover_work(team))
            if task.retry_at <= self._snapshot.now:
                taken.append(one)
                asked += members
                if self._limited and task.tenant is not None:
                    holdings.add(task.tenant, task.slots, task.resources, least)
                left[task_class.id] = max(0, left[task_class.id] - members)
                room -= task.slots * members
                if self._tenants_share:
                    share = members * tenants.share_of(task, self._planning.tenants)
                    tenants.serve(self._served, task_class.tenant, share)
        for head in postponed:
            heappush(self._heads, head)
        return taken

    def _let_others_go_first(self, head: _Head) -> bool:
        """Whether the tenant was served since the class was put there: it goes back to where it belongs."""
        served = self._served.get(head.task_class.tenant, 0)
        if not self._tenants_share or head.served >= served:
            return False
        head.served = served
        heappush(self._heads, head)
        return True

    def _room_for(self, task_class: TaskClass) -> int:
        found = self._room.room_for(task_class)
        work = len(self._room.eligible(task_class)) + PORTION_OVERHEAD
        if not found:
            self.no_room_for(task_class)
            work //= _IN_VAIN
        self.spend(work)
        return found

    def _next(self, head: _Head) -> Taken:
        """The first task of a class; the class stands where its second one belongs."""
        self.spend(TASK_OVERHEAD)
        one = Taken(head.rank, self._snapshot.task(head.rank[3]), head.task_class)
        head.position += 1
        if head.position < len(head.task_class.queue):
            head.rank = head.task_class.queue[head.position]
            head.priority = head.rank[0]
            heappush(self._heads, head)
        return one
