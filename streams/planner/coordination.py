"""Runs the planner beside the fleet fold: looks at the state between two batches, appends what it proposes.

A plan is only a proposal. The fleet fold re-validates every entry, so a plan that is late, repeated or made by a
worker that has lost its partition does no harm, and this loop needs no lock and no election.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mode import Service

from models.events import DEFAULT_FLEET
from models.fleet_records import CoordinationPlan
from models.fold import Output, Record
from streams.folds import fleet_fold, task_of
from streams.planner.base import Planner, encode_plan
from streams.planner.by_hand import plan_by_hand
from streams.planner.snapshot import FleetSnapshot, plannable, snapshot

if TYPE_CHECKING:
    from streams.engine import Engine, FoldTable, PartitionTask

log = logging.getLogger("coordinator.planner")

_PLANNING_SHARE = 0.1
"""Of the worker's time, how much planning may take before pending tasks wait for company."""
IDLE_ROUND = 1.0
"""Seconds after which fleets with pending tasks are planned again although nothing happened: back-offs and
cool-downs end by the mere passing of time."""


class Rounds:
    """What a planner proposes from round to round: placements, and seldom, in quiet rounds, moves."""

    def __init__(self, planner: Planner, budget: int) -> None:
        self._planner = planner
        self._budget = budget
        self._rebalanced: dict[str, int] = {}
        """Log time, which the policy's interval is meant in, at which a fleet's load was last looked at."""

    def propose(self, seen: FleetSnapshot) -> CoordinationPlan | None:
        plan = self._planner.plan(seen, seen.policy, self._budget)
        gate = seen.policy.rebalancing
        if plan is not None or not gate.moves:
            return plan
        if seen.now - self._rebalanced.get(seen.fleet, 0) < gate.interval:
            return None
        self._rebalanced[seen.fleet] = seen.now
        return self._planner.rebalance(seen, seen.policy, self._budget)


class CoordinationPlanner(Service):  # type: ignore[misc]
    """Plans every fleet of the partitions that this worker owns.

    Args:
        engine: Appends the plans.
        table: The table of the fleet folds.
        planner: The pure function that plans.
        budget: Work units of one round.
        interval: The longest that pending tasks wait for company, in seconds, when rounds are dear.
        batch_size: So many pending tasks are planned without waiting.
        planned: Called with each plan that was appended.
    """

    def __init__(
        self,
        engine: Engine,
        table: FoldTable,
        planner: Planner,
        *,
        budget: int,
        interval: float,
        batch_size: int,
        planned: Callable[[CoordinationPlan], None] = lambda plan: None,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.table = table
        self.planner = planner
        self.budget = budget
        self.interval = interval
        self.batch_size = batch_size
        self.planned = planned
        self._news = asyncio.Event()
        self._planned_at = float("-inf")
        """When the last round began, on the monotonic clock."""
        self._spent = 0.0
        """Seconds of CPU that it took, or more: others may have had their turn meanwhile."""
        self._waiting = 0
        """Pending tasks that might be placed, as of the last batch."""
        self._in_flight: dict[tuple[int, str], int] = {}
        """Offset of the last plan of a fleet, until its fold has read it: planning again would repeat it."""
        self._rounds = Rounds(planner, budget)
        table.after_batch.append(self._on_batch)
        table.on_close.append(self._on_close)

    async def generate_plan(self, fleet: str = DEFAULT_FLEET) -> CoordinationPlan | None:
        """What the planner would do for the fleet now, without doing it; ``None`` for nothing.

        Raises:
            LookupError: if no open partition holds the fleet.
        """
        return self._propose(task_of(self.table, fleet), fleet)

    async def optimize_distribution(self) -> list[CoordinationPlan]:
        """One round over all fleets; returns the plans, which are appended to the fleet log."""
        plans = []
        for partition, task in sorted(self.table.tasks.items()):
            for fleet in fleet_fold(task).fleets():
                place = (partition, fleet)
                if self._in_flight.get(place, -1) >= task.position:
                    continue
                plan = self._propose(task, fleet)
                if plan is None:
                    continue
                self._in_flight[place] = await self.append(plan, partition)
                plans.append(plan)
        return plans

    async def propose_assignment(self, fleet: str, task_id: str, agent_id: str) -> tuple[int, int]:
        """Append a plan of one entry; returns partition and offset in the fleet log.

        Raises:
            LookupError: if no open partition holds the task.
        """
        for partition, task in sorted(self.table.tasks.items()):
            seen = snapshot(fleet_fold(task), fleet)
            if seen is None:
                continue
            try:
                plan = plan_by_hand(seen, task_id, agent_id)
            except KeyError:
                continue
            return partition, await self.append(plan, partition)
        raise LookupError(f"the fleet {fleet!r} has no live task {task_id!r} here")

    async def append(self, plan: CoordinationPlan, partition: int) -> int:
        """Append a plan to a partition of the fleet log; returns its offset."""
        _, offset = await self.engine.append(
            "fleet", plan.fleet.encode(), encode_plan(plan), partition=partition
        )
        self.planned(plan)
        return offset

    @Service.task  # type: ignore[untyped-decorator]
    async def _plan(self) -> None:
        while not self.should_stop:
            try:
                async with asyncio.timeout(IDLE_ROUND):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            if self._waiting < self.batch_size:
                # Who comes when nothing was planned lately is planned at once; who comes soon after, together.
                pause = min(self.interval, self._spent / _PLANNING_SHARE)
                await self.sleep(max(0.0, self._planned_at + pause - time.monotonic()))
            self._planned_at, before = time.monotonic(), time.thread_time()
            await self.optimize_distribution()
            self._spent = time.thread_time() - before

    def _propose(self, task: PartitionTask, fleet: str) -> CoordinationPlan | None:
        seen = snapshot(fleet_fold(task), fleet)
        if seen is None:
            return None
        started = time.process_time()
        plan = self._rounds.propose(seen)
        spent = time.process_time() - started
        if spent > max(self.interval, 0.05):
            log.warning(
                "slow plan",
                extra={"fleet": fleet, "cpu_seconds": round(spent, 3), "budget": self.budget},
            )
        return plan

    def _on_batch(self, task: PartitionTask, _records: Sequence[Record], _outputs: Sequence[Output]) -> None:
        fold = fleet_fold(task)
        self._waiting = sum(plannable(fold, fleet) for fleet in fold.fleets())
        if self._waiting:
            self._news.set()

    def _on_close(self, task: PartitionTask) -> None:
        for place in [place for place in self._in_flight if place[0] == task.partition]:
            del self._in_flight[place]
