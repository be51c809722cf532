"""The simple planner: the most urgent task first, each to the least loaded agent that may take it.

It plans on the ledger, never on reported load: what agents report is seconds old, and planners that chase it
herd. And it binds late: an agent is given no more than its slots; what is left waits in the queue, from where
it can still go to whoever is free first.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, nsmallest

from models.fleet.backlog import Rank, TaskClass
from models.fleet.feasibility import feasibility
from models.fleet.roster import Agent
from models.fleet.rows import TaskRow
from models.fleet_records import CoordinationPlan, PlannerVersion, ProposedDirective
from models.policy import Policy
from streams.planner.snapshot import FleetSnapshot

DEFAULT_BUDGET = 200_000
"""Work units: well below a second of planning."""

MAX_ENTRIES = 2_000
"""Entries of one plan. With the longest ids it stays below 1 MB, and what applying it puts out fits into memory;
what is left waits for the next plan, which follows at once."""

CONSTRAINTS = (
    "capabilities",
    "labels",
    "resources",
    "slots",
    "availability",
    "cool_down",
    "credit",
)


class LeastLoadedPlanner:
    """Priority, then deadline, then age; least outstanding work for its slots, ties by id."""

    name = "least-loaded"
    version = "1"

    def plan(
        self, snapshot: FleetSnapshot, policy: Policy, budget: int = DEFAULT_BUDGET
    ) -> CoordinationPlan | None:
        entries, priority = _Round(snapshot, budget).place()
        if not entries:
            return None
        pending = snapshot.pending()
        return CoordinationPlan(
            plan_id=f"{snapshot.fleet}.{snapshot.based_on}.{self.name}-{self.version}",
            fleet=snapshot.fleet,
            based_on=snapshot.based_on,
            directives=entries,
            constraints=list(CONSTRAINTS),
            priority=priority,
            objective=sum(pending.values()) - len(entries),  # what stays pending
            planner=PlannerVersion(name=self.name, version=self.version, budget=budget),
            policy_version=policy.version,
            pending=pending,
        )


class _Round:
    """One plan in the making: the budget that is left, and the credit that its own entries would take."""

    def __init__(self, snapshot: FleetSnapshot, budget: int) -> None:
        self._snapshot = snapshot
        self._budget = budget
        self._drafts: dict[str, Agent] = {}
        """Copies of agents that hold what this plan would give them on top of what they hold."""
        self._candidates: dict[str, list[tuple[float, str]]] = {}
        """Per class a heap: who could hold its tasks and has a free slot, least loaded first.

        The loads in it may be outdated by this plan's own entries, but those only raise them: whoever is on
        top with an up-to-date load is the least loaded.
        """
        self._open: dict[str, Agent] = {}

    def place(self) -> tuple[list[ProposedDirective], int]:
        """The entries, most urgent first, and the highest priority among them."""
        classes = {c.id: c for c in self._snapshot.classes if c.queue and not c.coalition and c.has_room}
        heads: list[tuple[Rank, str, int]] = [(c.queue[0], c.id, 0) for c in classes.values()]
        heapify(heads)
        entries: list[ProposedDirective] = []
        priority = 0
        while heads and self._budget > 0 and len(entries) < MAX_ENTRIES:
            rank, class_id, position = heappop(heads)
            task_class = classes[class_id]
            task = self._snapshot.task(rank[3])
            self._budget -= 1
            if task.retry_at <= self._snapshot.now:
                agent_id, full = self._give(task, task_class)
                if full:
                    continue  # for all the rest of the class, too
                if agent_id is not None:
                    entries.append(
                        ProposedDirective(task_id=task.task_id, agent_id=agent_id, epoch=task.epoch + 1)
                    )
                    priority = max(priority, task.priority)
            if position + 1 < len(task_class.queue):
                heappush(heads, (task_class.queue[position + 1], class_id, position + 1))
        return entries, priority

    def _give(self, task: TaskRow, task_class: TaskClass) -> tuple[str | None, bool]:
        """Reserve the task's credit on the best agent.

        Returns:
            The agent's id, if one was found; and whether the class has none left for any of its tasks.
        """
        heap = self._candidates_of(task_class)
        asked_lately: list[tuple[float, str]] = []
        chosen: str | None = None
        while heap and self._budget > 0:
            load, agent_id = heappop(heap)
            draft = self._drafts.get(agent_id)
            if draft is None:
                draft = self._drafts[agent_id] = self._open[agent_id].draft()
            if _load(draft) > load:
                heappush(heap, (_load(draft), agent_id))
                continue
            self._budget -= 1
            reason = feasibility(task, draft, self._snapshot.now)
            if reason == "cooling_down":
                asked_lately.append((load, agent_id))
            elif reason == "eligible":
                draft.reserve(task.slots, task.resources)
                heappush(heap, (_load(draft), agent_id))
                chosen = agent_id
                break
            # Else it is full for the class: within a plan credit only shrinks, so it need not come back.
        full = not heap and not asked_lately and chosen is None
        for entry in asked_lately:
            heappush(heap, entry)
        return chosen, full

    def _candidates_of(self, task_class: TaskClass) -> list[tuple[float, str]]:
        heap = self._candidates.get(task_class.id)
        if heap is None:
            heap = []
            for shape in task_class.capable.values():
                for agent in shape.open.values():
                    self._open[agent.id] = agent
                    heap.append((_load(agent), agent.id))
            # Half the budget stays to place tasks with, or a large fleet would use it up on looking around.
            limit = max(1, self._budget // 2)
            if len(heap) > limit:
                heap = nsmallest(limit, heap)
            self._budget -= len(heap)
            heapify(heap)
            self._candidates[task_class.id] = heap
        return heap


def _load(agent: Agent) -> float:
    """Outstanding work for its size: what of its slots is held."""
    return agent.held_slots / agent.shape.slots
