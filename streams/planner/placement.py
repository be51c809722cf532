"""The planner: the most urgent tasks that there is room for, all at once, near the least that they can cost.

Who waits is taken in order of urgency, tenants in turn, up to the room that there is; then all of these are placed
together by the class water-fill, since a good place for one depends on what the others want. What fits into no
portion is placed one by one where it costs least: coalitions, tasks of several slots or of named resources, and
those that some agents refused a moment ago. Nobody else moves: a plan only gives pending tasks to agents.

It plans on the ledger, never on reported load, which is seconds old: planners that chase it herd. And it binds
late: an agent is given no more than its slots, and what is left can still go to whoever is free first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import groupby
from math import frexp, ldexp
from operator import itemgetter

import numpy as np

from models.fleet import coalitions
from models.fleet.backlog import Rank, TaskClass
from models.fleet.feasibility import feasibility
from models.fleet.quotas import allowance, excess
from models.fleet.roster import Agent
from models.fleet.rows import CoalitionRow, TaskRow
from models.fleet.team import Team
from models.fleet_records import (
    CoordinationPlan,
    PlannerVersion,
    ProposedCoalition,
    ProposedDirective,
    ProposedEntry,
    ProposedMember,
    ProposedPreemption,
)
from models.policy import PlanningPolicy, Policy
from streams.planner import jointly
from streams.planner.bounds import Placed, lower_bound, work_of
from streams.planner.jointly import Seats, Wish
from streams.planner.preemption import preempt
from streams.planner.rebalancing import moves
from streams.planner.room import Room
from streams.planner.snapshot import FleetSnapshot
from streams.planner.turns import Taken, Turns, cover_work
from streams.planner.waterfill import MAX_ROUNDS, PORTION_OVERHEAD, Demand, Ints, fill

DEFAULT_BUDGET = 5_000_000
"""Work units: a tenth of a second of planning, more or less."""

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
    "quota",
    "spread",
    "coalition",
)

_WEIGHING_SHARE = 4
"""A part of what is left of the budget, of so many, is for weighing coalitions against each other."""
_FILL_PER_TASK = 8_000
"""Work units that are spent on tasks which are placed together, for each of them."""


class WaterFillPlanner:
    """Priority, then slack, then age, tenants in turn; each place by the published objective."""

    name = "water-fill"
    version = "1"

    def plan(
        self, snapshot: FleetSnapshot, policy: Policy, budget: int = DEFAULT_BUDGET
    ) -> CoordinationPlan | None:
        round_ = _Round(snapshot, policy.planning, budget)
        entries = round_.place()
        return self._plan_of(
            snapshot,
            policy,
            budget,
            entries,
            round_.cost,
            round_.turns.truncated,
            round_.least() if entries else None,
        )

    def rebalance(
        self, snapshot: FleetSnapshot, policy: Policy, budget: int = DEFAULT_BUDGET
    ) -> CoordinationPlan | None:
        found, truncated = moves(snapshot, policy, budget)
        return self._plan_of(snapshot, policy, budget, found, 0, truncated)

    def _plan_of(
        self,
        snapshot: FleetSnapshot,
        policy: Policy,
        budget: int,
        entries: Sequence[ProposedEntry],
        cost: int,
        truncated: bool,
        least: int | None = None,
    ) -> CoordinationPlan | None:
        if not entries:
            return None
        pending = snapshot.pending()
        placed = sum(entry.type in ("assign_task", "form_coalition") for entry in entries)
        left = (sum(pending.values()) - placed) * policy.planning.objective.unplaced
        return CoordinationPlan(
            plan_id=f"{snapshot.fleet}.{snapshot.based_on}.{self.name}-{self.version}",
            fleet=snapshot.fleet,
            based_on=snapshot.based_on,
            directives=list(entries),
            constraints=list(CONSTRAINTS),
            priority=max(snapshot.task(_beneficiary(entry)).priority for entry in entries),
            objective=cost + left,
            bound=None if least is None else least + left,
            planner=PlannerVersion(name=self.name, version=self.version, budget=budget, truncated=truncated),
            policy_version=policy.version,
            pending=pending,
            provenance=snapshot.provenance,
        )


def _beneficiary(entry: ProposedEntry) -> str:
    """The task for whose sake the entry is."""
    return entry.for_task if isinstance(entry, ProposedPreemption) else entry.task_id


class _Round:
    """One plan in the making.

    Attributes:
        cost: What its placements cost so far, by the objective.
        turns: Whose turn it is, and what is left of the budget.
    """

    def __init__(self, snapshot: FleetSnapshot, planning: PlanningPolicy, budget: int) -> None:
        self._snapshot = snapshot
        self._planning = planning
        self.cost = 0
        self._degraded = snapshot.degraded
        self._groups = snapshot.groups.draft()
        """With the tasks that this plan places."""
        self._room = Room(snapshot.columns, planning.objective, self._groups)
        self.turns = Turns(snapshot, planning, self._room, budget)
        self._holdings = snapshot.holdings.draft()
        """What tenants hold, with what this plan gives them."""
        self._limited = bool(planning.quotas or planning.allocations)
        self._before = self._room.trial().arrays()
        """What agents held before this plan."""
        self._bounded: dict[tuple[int, float, int], list[Placed]] = {}
        """What was placed, by what the ways of a task depend on."""
        self._drafts: dict[int, Agent] = {}
        """Copies of agents, by position, that hold what this plan would give them on top of what they hold."""
        self._placed: list[tuple[Rank, ProposedEntry]] = []
        self._asked = 0
        """Agents that the entries so far ask."""
        self._reserved: tuple[int, Ints] | None = None
        """Who is to be kept free for a coalition of this band that has not enough of them yet."""

    def place(self) -> list[ProposedEntry]:
        """First what mends coalitions, whose other members wait or work already; then the most urgent tasks."""
        repairs = [entry for task, row in self._degraded if (entry := self._mend(task, row))]
        while taken := self.turns.take(MAX_ENTRIES - self._asked, self._holdings):
            for (band, kind), group in groupby(_in_parts(taken, self._snapshot.now), key=itemgetter(0)):
                tasks = [task for _, task in group]
                self._keep_free_from(band)
                if kind is _Kind.ALIKE:
                    self._place_together(tasks)
                elif kind is _Kind.TEAM:
                    self._form(tasks)
                else:
                    for one in tasks:
                        self._place_one(one)
        self._placed.sort(key=itemgetter(0))
        entries = [*repairs, *(entry for _, entry in self._placed)]
        placed = {entry.task_id for entry in entries}
        victims, spent = preempt(self._snapshot, self._planning, placed, self.turns.budget)
        self.turns.spend(spent)
        return [*entries, *victims]

    def least(self) -> int | None:
        """What its placements cost at the least, wherever they go; ``None`` if there is no budget to find out."""
        placed = [
            Placed(
                parts[0].eligible,
                np.concatenate([part.holders for part in parts]),
                min(part.size for part in parts),
                parts[0].penalties,
            )
            for parts in self._bounded.values()
        ]
        work = work_of(placed)
        if work > self.turns.budget:
            return None
        self.turns.spend(work)
        return lower_bound(self._before, placed, self._planning.objective)

    # -- where it goes

    def _place_together(self, tasks: Sequence[Taken]) -> None:
        groups: dict[tuple[int, str, float, int], list[Taken]] = {}
        for one in tasks:
            penalties = self._room.penalties(one.task)
            key = one.rank[0], one.task_class.id, _rounded(one.task.size), id(penalties)
            groups.setdefault(key, []).append(one)
        while groups:
            demands = [
                Demand(
                    self._room.eligible(group[0].task_class),
                    len(group),
                    size,
                    self._room.penalties(group[0].task),
                    -priority,
                )
                for (priority, _, size, _), group in groups.items()
            ]
            look = sum(len(demand.eligible) + PORTION_OVERHEAD for demand in demands)
            budget = min(max(self.turns.budget, 0), _FILL_PER_TASK * sum(map(len, groups.values())))
            self.turns.spend(min(budget, 2 * MAX_ROUNDS * look))
            placed = fill(self._room.arrays(), demands, budget, self._planning.objective)
            for holders in placed:
                self._room.give_slots(holders)
            left = {}
            for (key, group), holders in zip(groups.items(), placed, strict=True):
                least = min(one.task.size for one in group)
                self._note(group[0].task_class, group[0].task, least, holders)
                self._hand_out(group, holders)
                if len(holders) < len(group):
                    # A fill gives one agent only so many at a time.
                    if any(map(len, placed)) and self._room.room_for(group[0].task_class):
                        left[key] = group[len(holders) :]
                    else:
                        self.turns.no_room_for(group[0].task_class)
            groups = left

    def _note(self, task_class: TaskClass, task: TaskRow, size: float, holders: Ints) -> None:
        """These agents get such tasks, of this size or larger: that is what the bound has to place, too."""
        if len(holders):
            eligible, penalties = self._room.eligible(task_class), self._room.penalties(task)
            parts = self._bounded.setdefault((id(eligible), _rounded(size), id(penalties)), [])
            parts.append(Placed(eligible, holders, size, penalties))

    def _hand_out(self, group: Sequence[Taken], holders: Ints) -> None:
        """The most urgent ones get a place; of them, larger tasks go to faster agents."""
        lucky = sorted(group[: len(holders)], key=lambda one: (-one.task.size, one.rank))
        order = np.lexsort((holders, self._room.slowness(holders)))
        for one, position in zip(lucky, holders[order].tolist(), strict=True):
            self._reserve(one, position)

    def _place_one(self, one: Taken) -> None:
        task = one.task
        skipped = self._skipped(task)
        able = self._candidates(task, one.task_class, skipped)
        if len(able):
            # The first of equals, since positions rise.
            position = int(able[self._room.costs(task, able).argmin()])
            self._room.give(position, task)
            self._note(one.task_class, task, task.size, np.array([position]))
            self._reserve(one, position)
        elif not skipped:
            self.turns.no_room_for(one.task_class)

    def _form(self, taken: Sequence[Taken]) -> None:
        """Coalitions for tasks of one band, each with all of its members or none."""
        wishes = [self._wish(one.task, one.task_class) for one in taken]
        work = min(max(self.turns.budget, 0) // _WEIGHING_SHARE, jointly.work_of(wishes))
        self.turns.spend(work)
        found = jointly.teams(self._room, wishes, self._planning.objective.unplaced, work)
        for one, wish, seats in zip(taken, wishes, found, strict=True):
            members = None if seats is None else self._seat(wish, seats)
            if members is None:
                self._wait_for_more(one, wish)
                continue
            entry = ProposedCoalition(
                type="form_coalition", task_id=one.task.task_id, epoch=one.task.epoch + 1, members=members
            )
            self._placed.append((one.rank, entry))

    def _wait_for_more(self, one: Taken, wish: Wish) -> None:
        """There is no team for the task: some of those that it could have are to be kept free."""
        if not wish.without:
            self.turns.no_room_for(one.task_class)
        if self._reserved is None and not one.task_class.impossible:
            able = self._candidates(one.task, one.task_class, wish.without)
            cheapest = np.lexsort((able, self._room.costs(one.task, able)))[: wish.team.max_size]
            self._reserved = one.rank[0], able[cheapest]

    def _keep_free_from(self, band: int) -> None:
        """Of what is free now nothing goes to a lower band while a coalition of a higher one waits for more.

        Else single tasks would take every agent as soon as it is free, and never so many would be free at once.
        One coalition at a time: the most urgent.
        """
        if self._reserved is not None and band > self._reserved[0]:
            self._room.block(self._reserved[1])

    def _mend(self, task: TaskRow, row: CoalitionRow) -> ProposedCoalition | None:
        assert task.team is not None
        missing = task.team.missing(coalitions.members_of(row))
        if missing is None or self.turns.budget <= 0 or self._asked >= MAX_ENTRIES:
            return None
        if excess(self._planning, self._holdings, task, missing.least):
            return None
        self.turns.spend(cover_work(missing))
        wish = self._wish(task, self._snapshot.class_of(task), missing, row)
        seats = jointly.cheapest(self._room, wish)
        members = None if seats is None else self._seat(wish, seats)
        if members is None:
            return None
        return ProposedCoalition(
            type="repair_coalition", task_id=task.task_id, epoch=task.epoch, members=members
        )

    def _wish(
        self, task: TaskRow, task_class: TaskClass, team: Team | None = None, row: CoalitionRow | None = None
    ) -> Wish:
        """What is sought for a task, beside the members that it has."""
        team = team or task.team
        assert team is not None
        if self._limited and not team.parts:
            most = allowance(self._planning, self._holdings, task, team.max_size)
            team = Team(cover=team.cover, max_size=most)
        self.turns.spend(len(self._room.eligible(task_class)))
        members = () if row is None else (member.agent_id for member in row.members)
        return Wish(task, task_class, team, [*self._skipped(task), *members])

    def _seat(self, wish: Wish, seats: Seats) -> list[ProposedMember] | None:
        """Reserve a team; ``None`` if the one feasibility function has something against it."""
        task = wish.task
        drafts = [self._draft(position) for position, _ in seats]
        if self._limited and excess(self._planning, self._holdings, task, len(seats)):
            return None
        if any(feasibility(task, draft, self._snapshot.now) != "eligible" for draft in drafts):
            return None
        for (position, _), draft in zip(seats, drafts, strict=True):
            self.cost += self._room.cost(task, draft)
            self._room.give(position, task)
            draft.reserve(task.slots, task.resources)
        # One agent alone might cover all capabilities; roles are all to be played.
        needed = seats if wish.team.parts else seats[:1]
        self._note(wish.task_class, task, task.size, np.array([position for position, _ in needed]))
        self._hold(task, len(seats))
        self._asked += len(seats)
        return [
            ProposedMember(agent_id=draft.id, role=role)
            for draft, (_, role) in zip(drafts, seats, strict=True)
        ]

    def _hold(self, task: TaskRow, members: int = 1) -> None:
        """Its tenant holds so much more."""
        if self._limited and task.tenant is not None:
            self._holdings.add(task.tenant, task.slots, task.resources, members)

    def _candidates(self, task: TaskRow, task_class: TaskClass, without: Sequence[str]) -> Ints:
        eligible = self._room.eligible(task_class)
        self.turns.spend(len(eligible))
        return self._room.able(task, eligible, without)

    def _skipped(self, task: TaskRow) -> list[str]:
        return task.skipped(self._snapshot.now)

    def _draft(self, position: int) -> Agent:
        draft = self._drafts.get(position)
        if draft is None:
            draft = self._drafts[position] = self._room.agent(position).draft(self._groups)
        return draft

    def _reserve(self, one: Taken, position: int) -> None:
        """Note the entry, if the one feasibility function says the same as the arrays."""
        draft = self._draft(position)
        task = one.task
        if feasibility(task, draft, self._snapshot.now) == "eligible":
            self.cost += self._room.cost(task, draft)
            draft.reserve(task.slots, task.resources)
            self._hold(task)
            if task.spread is not None:
                self._groups.join(task.spread.group, draft.id)
            self._asked += 1
            entry = ProposedDirective(task_id=task.task_id, agent_id=draft.id, epoch=task.epoch + 1)
            self._placed.append((one.rank, entry))


class _Kind(IntEnum):
    """How a task is placed; of equal priority in this order."""

    TEAM = 0
    SINGLE = 1
    ALIKE = 2


def _in_parts(taken: Sequence[Taken], now: int) -> Iterator[tuple[tuple[int, _Kind], Taken]]:
    """Each task with its band and kind, those that are placed together beside each other.

    All may be, if they take one slot each and nothing else. If some cannot, those of higher priority are placed
    before, and of equal priority those that are harder to place.
    """
    parts = [((one.rank[0], _kind(one.task, now)), one) for one in taken]
    if all(kind is _Kind.ALIKE for (_, kind), _ in parts):
        band = max(band for (band, _), _ in parts)
        yield from (((band, _Kind.ALIKE), one) for one in taken)
    else:
        yield from sorted(parts, key=itemgetter(0))


def _kind(task: TaskRow, now: int) -> _Kind:
    if task.coalition is not None:
        return _Kind.TEAM
    alone = task.slots == 1 and not task.resources and task.spread is None
    plain = alone and not task.skipped(now)
    return _Kind.ALIKE if plain else _Kind.SINGLE


def _rounded(size: float) -> float:
    """To four binary digits: with sizes all different, no two tasks were alike."""
    mantissa, exponent = frexp(size)
    return ldexp(round(mantissa * 16), exponent - 4)
