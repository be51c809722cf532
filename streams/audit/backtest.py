"""Another policy on recorded history, decision by decision: what would have been decided at each moment of it?

At every record that a plan was based on, and once a second in between, the planner is asked with the other policy,
about the state as it was. So each of its decisions is an answer to what really was the case; but what came after
is what the recorded decisions brought about, and not its own. How the other policy would have done with the
consequences of what it decides is for ``streams.audit.relive`` to tell.

Only the planner follows the other policy: queues are in the order of the recorded one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from models.fields import seconds
from models.fleet import FleetFold
from models.fleet_records import (
    PlannerVersion,
    ProposedCoalition,
    ProposedDirective,
    ProposedEntry,
)
from models.fold import Record
from models.objective import Weights
from models.policy import Policy, patched
from streams.audit.history import Progress
from streams.audit.moments import Moment
from streams.audit.past import Hear, Log, Past, heard
from streams.audit.plans import plan_in
from streams.audit.snapshots import NO_SNAPSHOTS, Snapshots
from streams.audit.waits import Waits
from streams.planner import FleetSnapshot, WaterFillPlanner, snapshot
from streams.planner.coordination import Rounds
from streams.planner.placement import DEFAULT_BUDGET
from streams.planner.price import PLACING, price
from streams.reader import Extent

SECOND = 1_000
MOST_SHOWN = 1_000
"""Decisions that differ and are kept to be shown; all are counted."""

Agents: TypeAlias = tuple[str, ...]
_Assignment: TypeAlias = tuple[str, int]
"""A task and the epoch that its assignment opens."""


async def backtested(
    log: Log,
    first: int,
    until: Moment,
    patch: Mapping[str, object],
    progress: Progress = lambda done, total: None,
    snapshots: Snapshots = NO_SNAPSHOTS,
) -> tuple[Past, Outcome]:
    """What another policy would have decided in a part of a fleet's history, from an offset up to a moment.

    Args:
        patch: What the other policy has otherwise than the one in force at the time.

    Raises:
        InvalidRecord: if the patch is none.
        ConfigurationError, HistoryIncomplete: see :func:`streams.audit.past.heard`.
    """
    end = await log.offset_of(until)
    plans = await plans_of(log, Extent(max(first, log.extent.beginning), end))
    tests: list[Backtest] = []

    def listening(fold: FleetFold) -> Hear:
        tests.append(Backtest(fold, log.fleet, patch, plans, first))
        return tests[-1].hear

    past = await heard(log, until, listening, progress, snapshots, max(0, first - 1))
    return past, tests[-1].end()


async def plans_of(log: Log, extent: Extent) -> dict[int, Proposed]:
    """The plans for a fleet in this part of its log, by the offset that they are based on; of several based on one
    the first, since what it took the others could not have."""
    found: dict[int, Proposed] = {}
    if extent.end <= extent.beginning:
        return found
    async with aclosing(log.history.batches("fleet", log.place.partition, extent)) as batches:
        async for records in batches:
            for record in records:
                plan = plan_in(record)
                if plan is not None and plan.fleet == log.fleet:
                    proposed = Proposed(record.offset, tuple(plan.directives), plan.planner)
                    found.setdefault(plan.based_on, proposed)
    return found


@dataclass(frozen=True, slots=True)
class Proposed:
    """Of a plan, where it stands and what is needed of it: there may be many."""

    offset: int
    entries: tuple[ProposedEntry, ...]
    planner: PlannerVersion


@dataclass(frozen=True, slots=True)
class Difference:
    """A task that would have gone elsewhere, or at another time."""

    offset: int
    """Of the record that the decision was, or would have been, based on."""
    time: int
    """Log time there."""
    task_id: str
    recorded: Agents | None
    """Who got it then; ``None`` for nobody."""
    other: Agents | None
    """Who would have got it then."""

    def on_wire(self) -> dict[str, object]:
        return {
            "based_on": self.offset,
            "time": seconds(self.time),
            "task_id": self.task_id,
            "recorded": self.recorded,
            "other": self.other,
        }


@dataclass(slots=True)
class Regret:
    """What plans cost beside others for the same states, by one policy's objective.

    Attributes:
        cost: Of the placements that the policy itself would make.
        more: What the others cost more. A task that only one of them places costs the other ``unplaced``.
        worst: By how much the plan costs more of which that is the most, which was based on ``worst_at``.
    """

    cost: int = 0
    more: int = 0
    worst: int = 0
    worst_at: int | None = None

    def add(
        self,
        seen: FleetSnapshot,
        weights: Weights,
        own: Sequence[ProposedEntry],
        others: Sequence[ProposedEntry],
    ) -> None:
        ours, theirs = price(seen, weights, own), price(seen, weights, others)
        more = theirs.cost - ours.cost + (ours.placed - theirs.placed) * weights.unplaced
        self.cost += ours.cost
        self.more += more
        if more > self.worst:
            self.worst, self.worst_at = more, seen.based_on

    def on_wire(self) -> dict[str, object]:
        return {
            "cost": self.cost,
            "more": self.more,
            "share": self.more / self.cost if self.cost else 0.0,
            "worst": self.worst,
            "worst_based_on": self.worst_at,
        }


@dataclass(slots=True)
class Outcome:
    """What differs between what was decided and what would have been."""

    plans: int = 0
    """Plans of the log that were looked at."""
    quiet: int = 0
    """Moments without one that were looked at."""
    same: int = 0
    """Tasks that would have gone to the same agents at the same moment;"""
    elsewhere: int = 0
    """to others;"""
    earlier: int = 0
    """earlier, to whomever;"""
    later: int = 0
    """not then, though it may be soon after: the state that would have followed is not known."""
    only_other: int = 0
    """Tasks that nobody got, and somebody would have."""
    gained: Waits = field(default_factory=Waits)
    """By how much earlier those would have been placed that would have been."""
    recorded_waits: Waits = field(default_factory=Waits)
    """Of tasks that both place: how long they waited,"""
    other_waits: Waits = field(default_factory=Waits)
    """and how long they would have."""
    recorded_kinds: dict[str, int] = field(default_factory=dict)
    """Entries of plans, by type."""
    other_kinds: dict[str, int] = field(default_factory=dict)
    regret: Regret = field(default_factory=Regret)
    """Of what was decided, by the other policy's objective."""
    other_regret: Regret = field(default_factory=Regret)
    """Of what would have been decided, by the objective of the policy in force."""
    differences: list[Difference] = field(default_factory=list)

    def on_wire(self) -> dict[str, object]:
        return {
            "plans": self.plans,
            "quiet": self.quiet,
            "tasks": {
                "same": self.same,
                "elsewhere": self.elsewhere,
                "earlier": self.earlier,
                "later": self.later,
                "only_other": self.only_other,
            },
            "gained": self.gained.on_wire(),
            "entries": {
                "recorded": dict(sorted(self.recorded_kinds.items())),
                "other": dict(sorted(self.other_kinds.items())),
            },
            "waits": {"recorded": self.recorded_waits.on_wire(), "other": self.other_waits.on_wire()},
            "regret": {"recorded": self.regret.on_wire(), "other": self.other_regret.on_wire()},
            "differences": [one.on_wire() for one in self.differences],
        }


class Backtest:
    """Folds the fleet log, and asks the planner with another policy at every moment at which it was asked.

    Args:
        fold: Of the fleet's partition, as of ``first`` or before.
        fleet: Which fleet.
        patch: What the other policy has otherwise than the one in force at the time.
        plans: See :func:`plans_of`.
        first: What is before only brings the state there.

    Raises:
        InvalidRecord: if the patch is none.
    """

    def __init__(
        self,
        fold: FleetFold,
        fleet: str,
        patch: Mapping[str, object],
        plans: Mapping[int, Proposed],
        first: int,
    ) -> None:
        self.outcome = Outcome()
        self._fold = fold
        self._fleet = fleet
        self._patch = patch
        self._plans = plans
        self._first = first
        planners = (one.planner for one in plans.values())
        planner = WaterFillPlanner()
        budgets = [made.budget for made in planners if made.name == planner.name]
        budget = max(budgets, default=DEFAULT_BUDGET)
        self._rounds = Rounds(planner, budget)
        self._usual = Rounds(planner, budget)
        """Of the policy in force."""
        self._policies: dict[int, Policy] = {}
        """The other policy, by the version of the one in force."""
        self._second = -1
        self._planned = -1
        """The second in which the last plan was made."""
        self._under_way = -1
        """Up to this offset a plan is on its way: what it takes is no more to be had."""
        self._ahead: dict[_Assignment, int] = {}
        """What would have been given and has not been so far, and when it would have been."""
        self._recorded = _Kinds(self.outcome.recorded_kinds)
        self._others = _Kinds(self.outcome.other_kinds)

    def hear(self, records: Sequence[Record]) -> None:
        """Fold these records."""
        start = 0
        for number, record in enumerate(records):
            second = record.timestamp // SECOND
            if second > self._second:
                self._fold.fold(records[start:number])
                start = number
                if self._second >= 0 and record.offset >= self._first:
                    self._look_between(record.offset)
                self._second = second
            if record.offset in self._plans and record.offset >= self._first - 1:
                self._fold.fold(records[start : number + 1])
                start = number + 1
                self._compare(self._plans[record.offset])
        self._fold.fold(records[start:])

    def _compare(self, recorded: Proposed) -> None:
        """A plan of the log, and the one that would have been made in its place."""
        seen = snapshot(self._fold, self._fleet)
        if seen is None:
            return
        self._under_way = max(self._under_way, recorded.offset)
        self._planned = self._second
        self.outcome.plans += 1
        other = self._with_other_policy(seen)
        plan = self._rounds.propose(other)
        entries = [] if plan is None else plan.directives
        self._weigh(seen, other.policy, recorded.entries, entries)
        self._note(seen, recorded.entries, entries)

    def _look_between(self, offset: int) -> None:
        """A second is over in which nothing was planned: would anything have been that the policy in force would
        not have had planned either?"""
        if self._planned == self._second or offset <= self._under_way:
            return
        seen = snapshot(self._fold, self._fleet)
        if seen is None:
            return
        self.outcome.quiet += 1
        plan = self._rounds.propose(self._with_other_policy(seen))
        if plan is None:
            return
        usual = self._usual.propose(seen)
        known = set() if usual is None else {_key(entry) for entry in usual.directives}
        self._note(seen, [], [entry for entry in plan.directives if _key(entry) not in known])

    def _with_other_policy(self, seen: FleetSnapshot) -> FleetSnapshot:
        version = seen.policy.version
        policy = self._policies.get(version)
        if policy is None:
            policy = self._policies[version] = patched(seen.policy, self._patch, version + 1)
        return replace(seen, policy=policy)

    def _weigh(
        self,
        seen: FleetSnapshot,
        other: Policy,
        recorded: Sequence[ProposedEntry],
        entries: Sequence[ProposedEntry],
    ) -> None:
        """What either costs by the other's objective. Moves are made for other reasons than what they cost."""
        if not any(entry.type in PLACING for entry in (*recorded, *entries)):
            return
        outcome = self.outcome
        outcome.regret.add(seen, other.planning.objective, entries, recorded)
        outcome.other_regret.add(seen, seen.policy.planning.objective, recorded, entries)

    def _note(
        self, seen: FleetSnapshot, recorded: Sequence[ProposedEntry], entries: Sequence[ProposedEntry]
    ) -> None:
        self._recorded.count(recorded)
        self._others.count(entries)
        was, would = _assignments(recorded), _assignments(entries)
        for assignment, agents in was.items():
            self._judge(seen, assignment, agents, would.get(assignment))
        for assignment, agents in would.items():
            if assignment not in was and assignment not in self._ahead:
                self._ahead[assignment] = seen.now
                self._differ(seen, assignment, None, agents)

    def _judge(self, seen: FleetSnapshot, assignment: _Assignment, was: Agents, would: Agents | None) -> None:
        """An assignment that was decided on."""
        outcome = self.outcome
        before = self._ahead.pop(assignment, None)
        if before is None and would is None:
            outcome.later += 1
            return self._differ(seen, assignment, was, None)
        if before is not None:
            outcome.earlier += 1
            outcome.gained.add(seen.now - before)
        elif was == would:
            outcome.same += 1
        else:
            outcome.elsewhere += 1
            self._differ(seen, assignment, was, would)
        if seen.has_task(assignment[0]):
            task = seen.task(assignment[0])
            since = max(task.pending_since, task.retry_at)
            outcome.recorded_waits.add(seen.now - since)
            outcome.other_waits.add((seen.now if before is None else before) - since)
        return None

    def _differ(
        self, seen: FleetSnapshot, assignment: _Assignment, was: Agents | None, would: Agents | None
    ) -> None:
        if len(self.outcome.differences) < MOST_SHOWN:
            difference = Difference(seen.based_on, seen.now, assignment[0], was, would)
            self.outcome.differences.append(difference)

    def end(self) -> Outcome:
        """Nothing more is heard: what differs."""
        self.outcome.only_other = len(self._ahead)
        return self.outcome


def _assignments(entries: Sequence[ProposedEntry]) -> dict[_Assignment, Agents]:
    """Who is to get which waiting task."""
    found: dict[_Assignment, Agents] = {}
    for entry in entries:
        if isinstance(entry, ProposedDirective):
            found[entry.task_id, entry.epoch] = (entry.agent_id,)
        elif isinstance(entry, ProposedCoalition) and entry.type in PLACING:
            found[entry.task_id, entry.epoch] = tuple(sorted(member.agent_id for member in entry.members))
    return found


class _Kinds:
    """Counts entries by type; those that are proposed again, since nobody took them up, once."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._seen: set[tuple[str, str, int]] = set()

    def count(self, entries: Sequence[ProposedEntry]) -> None:
        for entry in entries:
            if _key(entry) not in self._seen:
                self._seen.add(_key(entry))
                self._counts[entry.type] = self._counts.get(entry.type, 0) + 1


def _key(entry: ProposedEntry) -> tuple[str, str, int]:
    return entry.type, entry.task_id, entry.epoch
