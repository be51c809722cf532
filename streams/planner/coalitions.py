"""Which coalitions to form, when there are more tasks than the agents can serve: weighted disjoint set cover.

First greedily: again and again the coalition that brings most for each of its agents. Then by Lagrangian
relaxation: each agent gets a price, each task takes the coalition that is cheapest at these prices, and agents
that several want become dearer (Held, Wolfe & Crowder, Mathematical Programming 6, 1974). What all tasks gain at
any prices, and the prices themselves, is more than any plan can bring: the bound that a plan is measured by.
At every turn the prices lead a greedy choice of their own, which is far better than one without. In the end one
task at a time takes what it would like best, and whoever loses members by that chooses again (ejection chains, in
a large neighbourhood search), as long as the budget lasts.

Integers throughout, and a generator of random numbers of our own: equal inputs give equal plans everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from streams.planner.covers import (
    AT_ONCE,
    NOBODY,
    Having,
    Members,
    at_least,
    cheapest_cover,
    cheapest_covers,
)

SCALE = 1 << 10
"""Of values, costs and prices: prices are fractions."""
RELAXATION_SHARE = 3, 4
"""Of the budget, for prices."""
_OVERHEAD = 64
"""Work units: to seek one coalition costs as much, beside the sets and the agents that are looked at."""
_TOGETHER = 2
"""Times as fast all tasks are looked at together as one after the other."""
_FIRST_STEP = 128
"""Of 256 parts: of the way to where bound and choice would meet if prices had only to go straight on."""
_FINE = 8
"""Parts of a step that directions are told in."""
_BLIND = 5
"""Turns whose prices are still worth no choice."""
_PATIENCE = 5
"""Turns without a better bound after which prices move by smaller steps."""
_MOST_AT_ONCE = 8
"""Tasks that choose again for one."""
_MOST_IDLE = 2
"""Of those without a coalition, how many try again with them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that a coalition may be formed for."""

    cover: tuple[str, ...]
    """Capabilities that its members must have together; at most ``covers.MAX_COVER``."""
    value: float
    """What it is worth to form it; its members' costs come off."""
    max_size: int
    able: NDArray[np.bool_] | None = None
    """Of each agent whether it may be a member; ``None`` if all may."""


@dataclass(frozen=True, slots=True)
class Formed:
    """What is proposed."""

    coalitions: list[Members | None]
    """For each task the positions of its members; ``None`` if none is formed."""
    gain: float
    """Values less costs."""
    bound: float
    """No choice of coalitions gains more."""


def form(
    capabilities: Sequence[frozenset[str]], costs: Sequence[float], tasks: Sequence[Candidate], budget: int
) -> Formed:
    """Choose coalitions so that no agent is in two of them.

    Args:
        capabilities: Of each agent.
        costs: Of each agent, 0 or more: what its being in a coalition costs.
        tasks: What could be done.
        budget: Work units; one pays for a look at one pair of sets of capabilities or at eight agents. The greedy
            choice is made in any case.
    """
    problem = _Problem(capabilities, costs, tasks)
    best = problem.chosen_greedily()
    bound = sum(max(0, problem.values[task]) for task in range(len(tasks)))
    work = budget - sum(problem.works)
    if work > 0 and tasks:
        best, bound, work, prices = _relax(problem, best, bound, work)
        if best.gain < bound:
            _choose_again(problem, best, work, prices)
    return Formed(best.coalitions, best.gain / SCALE, bound / SCALE)


class _Problem:
    """Tasks and agents as numbers."""

    def __init__(
        self, capabilities: Sequence[frozenset[str]], costs: Sequence[float], tasks: Sequence[Candidate]
    ) -> None:
        having = Having(capabilities)
        # One more for each member: an agent that costs nothing must not be wanted twice.
        self.costs = np.array([round(cost * SCALE) + 1 for cost in costs], np.int64)
        self._costs: list[int] = self.costs.tolist()
        self.values = [round(task.value * SCALE) for task in tasks]
        self.tasks = tasks
        self._sets = [_Sets.of(having, task) for task in tasks]
        by_count: dict[int, list[int]] = {}
        for number, task in enumerate(tasks):
            by_count.setdefault(len(task.cover), []).append(number)
        self._alike = [
            (those, _Sets.together([self._sets[task] for task in those]))
            for count, those in sorted(by_count.items())
            if count <= AT_ONCE
        ]
        """Tasks that have equally many capabilities to cover, which are looked at together."""
        self._most = np.array([task.max_size for task in tasks], np.int64)
        self.works = [3 ** len(task.cover) // 2 + len(costs) // 8 + _OVERHEAD for task in tasks]

    def worth(self, task: int, members: Members) -> int:
        """Its value less their costs."""
        return self.values[task] + len(members) - sum([self._costs[member] for member in members])

    def cheapest(self, task: int, offer: _Offer) -> tuple[int, Members]:
        """The task's cheapest coalition among those who are on offer, at their prices."""
        (ranks,) = self._sets[task].first(offer.ranks)
        cost, parts = cheapest_cover(offer.prices[ranks].tolist(), self.tasks[task].max_size)
        return cost, tuple(offer.order[rank] for rank in ranks[list(parts)].tolist())

    def all_cheapest(self, offer: _Offer) -> list[tuple[int, Members]]:
        """The same for every task, as if it were alone."""
        found: list[tuple[int, Members] | None] = [None] * len(self.tasks)
        for tasks, sets in self._alike:
            ranks = sets.first(offer.ranks)
            costs, parts = cheapest_covers(offer.prices[ranks], self._most[tasks])
            members = np.take_along_axis(ranks, parts, axis=1)
            for task, cost, row, there in zip(
                tasks, costs.tolist(), members.tolist(), parts.tolist(), strict=True
            ):
                found[task] = (
                    cost,
                    tuple(offer.order[rank] for rank, part in zip(row, there, strict=True) if part),
                )
        return [self.cheapest(task, offer) if one is None else one for task, one in enumerate(found)]

    def chosen_greedily(self) -> _Choice:
        """What brings most for each of its agents first; where a member is gone, another coalition is sought."""
        choice, offer = _Choice(self), _Offer(self.costs)

        def density(task: int, cost: int, members: Members) -> tuple[int, int, Members]:
            return (cost - self.values[task]) // max(1, len(members)), task, members

        heap = [density(task, *found) for task, found in enumerate(self.all_cheapest(offer))]
        heapify(heap)
        while heap and heap[0][0] < 0:
            _, task, members = heappop(heap)
            if not members:
                continue
            if offer.has_all(members):
                offer.take(members)
                choice.set(task, members)
            else:
                heappush(heap, density(task, *self.cheapest(task, offer)))
        return choice


@dataclass(frozen=True, slots=True)
class _Sets:
    """Who has which of the capabilities that tasks want covered, equally many for each task."""

    rows: int
    sets: int
    agents: NDArray[np.int64]
    """Those that have any, one task after the other, and for each task by the set that they have."""
    starts: NDArray[np.int64]
    """Where the agents of one set begin."""
    cells: NDArray[np.int64]
    """Which set it is, in a table of a row for each task and a column for each set."""

    @staticmethod
    def of(having: Having, task: Candidate) -> _Sets:
        sets = having.sets(task.cover)
        agents = np.flatnonzero(sets if task.able is None else sets * task.able)
        agents = agents[np.argsort(sets[agents], kind="stable")]
        sets = sets[agents]
        starts = np.flatnonzero(np.diff(sets, prepend=0))
        return _Sets(1, 1 << len(task.cover), agents, starts, sets[starts])

    @staticmethod
    def together(some: Sequence[_Sets]) -> _Sets:
        """Of several tasks."""
        before = np.cumsum([0] + [len(one.agents) for one in some])
        return _Sets(
            len(some),
            some[0].sets,
            np.concatenate([one.agents for one in some]),
            np.concatenate([one.starts + start for one, start in zip(some, before.tolist(), strict=False)]),
            np.concatenate([one.cells + row * one.sets for row, one in enumerate(some)]),
        )

    def first(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each set the least rank of an agent that has it all; ``len(ranks)`` for none."""
        found = np.full((self.rows, self.sets), len(ranks), np.int64)
        if len(self.agents):
            found.ravel()[self.cells] = np.minimum.reduceat(ranks[self.agents], self.starts)
        at_least(found)
        return found


class _Offer:
    """Agents in the order of their prices, and who of them is still to be had."""

    def __init__(self, prices: NDArray[np.int64]) -> None:
        order = np.lexsort((np.arange(len(prices)), prices))
        self.order: list[int] = order.tolist()
        self.prices = np.append(prices[order], NOBODY)
        """By rank; the one behind the last is nobody's."""
        self._ranks = np.empty(len(prices), np.int64)
        self._ranks[order] = np.arange(len(prices))
        self.ranks = self._ranks.copy()
        """By agent; that of nobody for who is taken."""
        self._taken: set[int] = set()

    def has_all(self, agents: Members) -> bool:
        return self._taken.isdisjoint(agents)

    def take(self, agents: Members) -> None:
        for agent in agents:
            self.ranks[agent] = len(self.order)
        self._taken.update(agents)

    def give_back(self, agents: Members) -> None:
        for agent in agents:
            self.ranks[agent] = self._ranks[agent]
        self._taken.difference_update(agents)


class _Choice:
    """A coalition for each task, or none."""

    def __init__(self, problem: _Problem) -> None:
        self._problem = problem
        self.coalitions: list[Members | None] = [None] * len(problem.tasks)
        self.gain = 0

    def set(self, task: int, members: Members | None) -> None:
        before = self.coalitions[task]
        self.coalitions[task] = members
        if before is not None:
            self.gain -= self._problem.worth(task, before)
        if members is not None:
            self.gain += self._problem.worth(task, members)


def _relax(
    problem: _Problem, best: _Choice, bound: int, work: int
) -> tuple[_Choice, int, int, NDArray[np.int64]]:
    """Better prices, turn by turn; returns the best choice, the lowest bound, what is left of the budget, and the
    prices."""
    agents = len(problem.costs)
    extra, direction = np.zeros((2, agents), np.int64)
    step, idle = _FIRST_STEP, 0
    numerator, denominator = RELAXATION_SHARE
    enough = work - work * numerator // denominator
    turn = sum(problem.works) // _TOGETHER + 1
    turns = 0
    while work - turn > enough and best.gain < bound:
        work -= turn
        turns += 1
        offer = _Offer(problem.costs + extra)
        cheapest = problem.all_cheapest(offer)
        gains = [value - cost for value, (cost, _) in zip(problem.values, cheapest, strict=True)]
        # The choice may be worse than the best one by a unit for each member; see ``_Problem.costs``.
        sold = int(extra.sum()) + sum(
            max(0, gain + task.max_size) for gain, task in zip(gains, problem.tasks, strict=True)
        )
        if sold < bound:
            bound, idle = sold, 0
        else:
            idle += 1
            if idle == _PATIENCE:
                step, idle = max(1, step * 3 // 4), 0
        if turns > _BLIND:
            best = max(best, _guided(problem, offer, cheapest, gains), key=lambda choice: choice.gain)
        found = zip(gains, cheapest, strict=True)
        wanted = [member for gain, (_, members) in found if gain > 0 for member in members]
        # Half of where it went before: else prices sway to and fro.
        direction = (np.bincount(wanted, minlength=agents) - 1) * _FINE + direction // 2
        norm = int((direction**2)[(extra > 0) | (direction > 0)].sum())
        if not norm:
            break
        extra = np.maximum(0, extra + direction * ((sold - best.gain) * step * _FINE // (256 * norm)))
    return best, bound, work, problem.costs + extra


def _guided(
    problem: _Problem, offer: _Offer, cheapest: Sequence[tuple[int, Members]], gains: Sequence[int]
) -> _Choice:
    """One after the other, by what they gain at these prices; where a member is gone, others are sought."""
    choice = _Choice(problem)
    for task in sorted(range(len(gains)), key=lambda task: (-gains[task], task)):
        _, members = cheapest[task]
        if not offer.has_all(members):
            _, members = problem.cheapest(task, offer)
        if members and problem.worth(task, members) > 0:
            offer.take(members)
            choice.set(task, members)
    return choice


def _choose_again(problem: _Problem, best: _Choice, work: int, prices: NDArray[np.int64]) -> None:
    """One task takes what it would like best, and who loses members by that chooses again, if it brings no less.

    It does without one of the members that it has, or it would like those. Prices tell who is needed elsewhere.
    """
    count = len(problem.tasks)
    everybody, rest = _Offer(prices), _Offer(prices)
    holder: dict[int, int] = {}

    def give_back(task: int) -> Members | None:
        members = best.coalitions[task]
        rest.give_back(members or ())
        best.set(task, None)
        return members

    def take(task: int, members: Members | None) -> None:
        rest.take(members or ())
        best.set(task, members)
        holder.update(dict.fromkeys(members or (), task))

    for task, members in enumerate(best.coalitions):
        take(task, members)
    draw = _numbers(count)
    while True:
        first = draw(count)
        held = best.coalitions[first]
        barred = (held[draw(len(held))],) if held else ()
        everybody.take(barred)
        _, wanted = problem.cheapest(first, everybody)
        everybody.give_back(barred)
        crowd = sorted({holder[agent] for agent in wanted if not rest.has_all((agent,))} - {first})
        idle = [task for task, members in enumerate(best.coalitions) if members is None and task != first]
        others = [*_shuffled(crowd, draw), *_shuffled(idle, draw)[:_MOST_IDLE]]
        pays = wanted and len(crowd) <= _MOST_AT_ONCE
        work -= sum(problem.works[task] for task in ([first, *others] if pays else [first]))
        if work < 0:
            return
        if not pays:
            continue
        gain = best.gain
        before = {task: give_back(task) for task in (first, *others)}
        take(first, wanted)
        for task in others:
            _, members = problem.cheapest(task, rest)
            if members and problem.worth(task, members) > 0:
                take(task, members)
        if best.gain < gain:
            for task in before:
                give_back(task)
            for task, held in before.items():
                take(task, held)


def _shuffled(tasks: Sequence[int], draw: Callable[[int], int]) -> list[int]:
    found = list(tasks)
    for place in range(len(found)):
        other = place + draw(len(found) - place)
        found[place], found[other] = found[other], found[place]
    return found


def _numbers(seed: int) -> Callable[[int], int]:
    """Random numbers below what they are asked for; Knuth's MMIX generator, since Python's may change."""

    def states() -> Iterator[int]:
        state = seed
        while True:
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            yield state >> 33

    stream = states()
    return lambda below: next(stream) % below
