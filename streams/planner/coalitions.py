"""Which coalitions to form, when there are more tasks than the agents can serve: weighted disjoint set cover.

First greedily: again and again the coalition that brings most for each of its agents. Then by Lagrangian
relaxation: each agent gets a price, each task takes the coalition that is cheapest at these prices, and agents
that several want become dearer (Held, Wolfe & Crowder, Mathematical Programming 6, 1974). What all tasks gain at
any prices, and the prices themselves, is more than any plan can bring: the bound that a plan is measured by.
At every turn the prices lead a greedy choice of their own, which is far better than one without. In the end some
tasks at a time give back their agents and choose again, in another order (large neighbourhood search), as long as
the budget lasts.

Integers throughout, and a generator of random numbers of our own: equal inputs give equal plans everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from streams.planner.covers import NOBODY, Having, Members, cheapest_cover

SCALE = 1 << 10
"""Of values, costs and prices: prices are fractions."""
RELAXATION_SHARE = 3, 4
"""Of the budget, for prices."""
_PATIENCE = 5
"""Turns without a better bound after which prices move by smaller steps."""
_MOST_AT_ONCE = 8
"""Tasks that choose again together."""


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
        budget: Work units; one pays for a look at one set of capabilities or at eight agents. The greedy choice is
            made in any case.
    """
    problem = _Problem(capabilities, costs, tasks)
    best = problem.chosen_greedily()
    bound = sum(max(0, problem.values[task]) for task in range(len(tasks)))
    work = budget - sum(problem.works)
    if work > 0 and tasks:
        best, bound, work = _relax(problem, best, bound, work)
        if best.gain < bound:
            _choose_again(problem, best, work)
    return Formed(best.coalitions, best.gain / SCALE, bound / SCALE)


class _Problem:
    """Tasks and agents as numbers."""

    def __init__(
        self, capabilities: Sequence[frozenset[str]], costs: Sequence[float], tasks: Sequence[Candidate]
    ) -> None:
        having = Having(capabilities)
        # One more for each member: an agent that costs nothing must not be wanted twice.
        self.costs = np.array([round(cost * SCALE) + 1 for cost in costs], np.int64)
        self.values = [round(task.value * SCALE) for task in tasks]
        self.sets = [_sets(having, task) for task in tasks]
        self.tasks = tasks
        self.works = [3 ** len(task.cover) // 2 + len(costs) // 8 + 1 for task in tasks]

    def cheapest(self, task: int, offer: _Offer) -> tuple[int, Members]:
        """The task's cheapest coalition among those who are on offer, at their prices."""
        cover = len(self.tasks[task].cover)
        least = np.full(1 << cover, len(offer.order), np.int64)
        np.minimum.at(least, self.sets[task], offer.ranks)
        ranks: list[int] = least.tolist()
        for bit in range(cover):
            step = 1 << bit
            for smaller in range(len(ranks)):
                if not smaller & step and ranks[smaller | step] < ranks[smaller]:
                    ranks[smaller] = ranks[smaller | step]
        cost, parts = cheapest_cover([offer.prices[rank] for rank in ranks], self.tasks[task].max_size)
        return cost, tuple(offer.order[ranks[part]] for part in parts)

    def chosen_greedily(self) -> _Choice:
        """What brings most for each of its agents first; where a member is gone, another coalition is sought."""
        choice, offer = _Choice(self), _Offer(self.costs)

        def offers(task: int) -> list[tuple[int, int, Members]]:
            cost, members = self.cheapest(task, offer)
            gain = self.values[task] - cost
            return [(-gain // len(members), task, members)] if members and gain > 0 else []

        heap = [entry for task in range(len(self.tasks)) for entry in offers(task)]
        heapify(heap)
        while heap:
            _, task, members = heappop(heap)
            if all(offer.has(member) for member in members):
                offer.take(members)
                choice.set(task, members)
            else:
                for entry in offers(task):
                    heappush(heap, entry)
        return choice


def _sets(having: Having, task: Candidate) -> NDArray[np.int64]:
    """For each agent, what it has of what the task wants covered."""
    sets = having.sets(task.cover)
    return sets if task.able is None else np.where(task.able, sets, 0)


class _Offer:
    """Agents in the order of their prices, and who of them is still to be had."""

    def __init__(self, prices: NDArray[np.int64]) -> None:
        order = np.lexsort((np.arange(len(prices)), prices))
        self.order: list[int] = order.tolist()
        self.prices: list[int] = [*prices[order].tolist(), NOBODY]
        """By rank; the one behind the last is nobody's."""
        self._ranks = np.empty(len(prices), np.int64)
        self._ranks[order] = np.arange(len(prices))
        self.ranks = self._ranks.copy()
        """By agent; that of nobody for who is taken."""

    def has(self, agent: int) -> bool:
        return bool(self.ranks[agent] < len(self.order))

    def take(self, agents: Members) -> None:
        for agent in agents:
            self.ranks[agent] = len(self.order)

    def give_back(self, agents: Members) -> None:
        for agent in agents:
            self.ranks[agent] = self._ranks[agent]


class _Choice:
    """A coalition for each task, or none."""

    def __init__(self, problem: _Problem) -> None:
        self._problem = problem
        self.coalitions: list[Members | None] = [None] * len(problem.tasks)
        self.gain = 0

    def worth(self, task: int, members: Members) -> int:
        costs = self._problem.costs
        return self._problem.values[task] - sum(int(costs[member]) - 1 for member in members)

    def set(self, task: int, members: Members | None) -> None:
        before = self.coalitions[task]
        self.coalitions[task] = members
        self.gain += (0 if members is None else self.worth(task, members)) - (
            0 if before is None else self.worth(task, before)
        )


def _relax(problem: _Problem, best: _Choice, bound: int, work: int) -> tuple[_Choice, int, int]:
    """Better prices, turn by turn; returns the best choice, the lowest bound, and what is left of the budget."""
    agents = len(problem.costs)
    extra = np.zeros(agents, np.int64)
    step, idle = 256, 0
    numerator, denominator = RELAXATION_SHARE
    enough = work - work * numerator // denominator
    turn = 2 * sum(problem.works)
    while work - turn > enough and best.gain < bound:
        work -= turn
        offer = _Offer(problem.costs + extra)
        wanted = np.zeros(agents, np.int64)
        sold = int(extra.sum())
        gains = []
        for task in range(len(problem.tasks)):
            cost, members = problem.cheapest(task, offer)
            gain = problem.values[task] - cost
            gains.append((-gain, task))
            # The choice may be worse than the best one by a unit for each member; see ``_Problem.costs``.
            sold += max(0, gain + problem.tasks[task].max_size)
            if gain > 0:
                wanted[list(members)] += 1
        if sold < bound:
            bound, idle = sold, 0
        else:
            idle += 1
            if idle == _PATIENCE:
                step, idle = max(1, step * 3 // 4), 0
        choice = _Choice(problem)
        for _, task in sorted(gains):
            _, members = problem.cheapest(task, offer)
            if members and choice.worth(task, members) > 0:
                offer.take(members)
                choice.set(task, members)
        if choice.gain > best.gain:
            best = choice
        direction = wanted - 1
        norm = int((direction**2)[(extra > 0) | (direction > 0)].sum())
        if not norm:
            break
        extra = np.maximum(0, extra + direction * ((sold - best.gain) * step // (256 * norm)))
    return best, bound, work


def _choose_again(problem: _Problem, best: _Choice, work: int) -> None:
    """Some tasks give back their agents and choose again; kept if it brings no less."""
    offer = _Offer(problem.costs)
    for members in best.coalitions:
        offer.take(members or ())
    count = len(problem.tasks)
    draw = _numbers(count)
    while True:
        some = list(range(count))
        for place in range(min(count, 2 + draw(_MOST_AT_ONCE - 1))):
            other = place + draw(count - place)
            some[place], some[other] = some[other], some[place]
        del some[place + 1 :]
        work -= sum(problem.works[task] for task in some)
        if work < 0:
            return
        before, gain = [best.coalitions[task] for task in some], best.gain
        for task in some:
            offer.give_back(best.coalitions[task] or ())
            best.set(task, None)
        for task in some:
            _, members = problem.cheapest(task, offer)
            if members and best.worth(task, members) > 0:
                offer.take(members)
                best.set(task, members)
        if best.gain < gain:
            for task in some:
                offer.give_back(best.coalitions[task] or ())
            for task, members_before in zip(some, before, strict=True):
                offer.take(members_before or ())
                best.set(task, members_before)


def _numbers(seed: int) -> Callable[[int], int]:
    """Random numbers below what they are asked for; Knuth's MMIX generator, since Python's may change."""

    def states() -> Iterator[int]:
        state = seed
        while True:
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            yield state >> 33

    stream = states()
    return lambda below: next(stream) % below
